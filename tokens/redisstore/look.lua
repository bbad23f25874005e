-- Reads a record and what the store says of itself.
-- KEYS: record, stamp. Returns {identity, its age (us), record}.
local id = identity()
local first = since(KEYS[2], id)
return {id, whole(math.max(now() - (first or now()), 0)), redis.call('GET', KEYS[1])}
