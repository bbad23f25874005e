-- Tells everyone what is stored, if that is still what the writer wrote. It
-- writes nothing, so that a failure to publish undoes nothing.
-- KEYS: record. ARGV: how the written record begins, channel, head of the message.
local record = redis.call('GET', KEYS[1])
if record and string.sub(record, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('PUBLISH', ARGV[2], ARGV[3] .. record .. '}')
end
return -1
