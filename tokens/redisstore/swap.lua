-- Writes a record over the very bytes that the writer knows. The one write is
-- the last step: an error means that nothing was written.
-- KEYS: record, fence, stamp. ARGV: identity, fence or '' for any, new record,
-- then each record that may be there, '' for none.
-- Returns {1} written, or {0, identity, its age (us), record}: nothing was
-- written. Whoever finds the new record there has been here before.
local id = identity()
local record = redis.call('GET', KEYS[1])
if id == ARGV[1] then
  if ARGV[2] == '' or redis.call('GET', KEYS[2]) == ARGV[2] then
    for i = 4, #ARGV do
      if (record or '') == ARGV[i] then
        redis.call('SET', KEYS[1], ARGV[3])
        return {1}
      end
    end
  end
end
local first = since(KEYS[3], id)
return {0, id, whole(math.max(now() - (first or now()), 0)), record}
