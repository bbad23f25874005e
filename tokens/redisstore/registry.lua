-- Replaces the document if its version is the expected one. KEYS: registry.
-- ARGV: expected version, new version, document. Returns 1, also when this very
-- document is there as the new version already, or 0.
local kept = redis.call('HMGET', KEYS[1], 'version', 'document')
local version = kept[1] or '0'
if version == ARGV[1] then
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'document', ARGV[3])
  return 1
end
if version == ARGV[2] and kept[2] == ARGV[3] then
  return 1
end
return 0
