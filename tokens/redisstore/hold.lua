-- Takes the lock, the next fence, and reads the record, in one step.
-- KEYS: lock, fence, record, stamp. ARGV: owner, life of the lock (ms).
-- Returns {0, ms left of another's lock} or {1, identity, fence, age of the
-- identity (us), record}. Repeated by the same owner it takes a newer fence.
local who = redis.call('GET', KEYS[1])
if who and who ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1])}
end
local id, at = identity(), now()
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local record = redis.call('GET', KEYS[3])
if record then
  -- A quote inside of a JSON string is escaped: this is the field.
  last = math.max(last, tonumber(string.match(record, '"fence":(%d+)') or '0'))
end
local fence = math.max(last + 1, at)
local first = since(KEYS[4], id)
if not first then
  first = at
  redis.call('SET', KEYS[4], id .. ' ' .. whole(at))
end
redis.call('SET', KEYS[2], whole(fence))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, id, whole(fence), whole(math.max(at - first, 0)), record}
