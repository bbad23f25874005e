-- Claims all names or none. KEYS: claims. ARGV: org, names. Returns '' or the org
-- that has one of them.
local held = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
for _, who in ipairs(held) do
  if who and who ~= ARGV[1] then
    return who
  end
end
for i = 2, #ARGV do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[1])
end
return ''
