-- Notes when an identity of the store was first seen by anybody.
-- KEYS: the identities. ARGV: identity. Returns its age (us).
local at = now()
redis.call('HSETNX', KEYS[1], ARGV[1], whole(at))
return whole(math.max(at - tonumber(redis.call('HGET', KEYS[1], ARGV[1])), 0))
