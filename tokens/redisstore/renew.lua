-- KEYS: lock. ARGV: owner, life of the lock (ms). Returns 0 where it isn't the
-- owner's any more.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
