// Package redisstore keeps everything in Redis, for any number of replicas of
// sallyport: the records of grants (tokens.Store), the claims (tokens.Claims),
// the history (tokens.History), what is told to the other replicas
// (tokens.Watcher), answers of replicas without a disk of their own
// (tokens.Spool), the registry's document and some values that are made once.
// Redis may stand alone, behind Sentinels or be a Cluster; 7.0 is what it is
// tested with.
//
// The lock of an org only keeps replicas from crowding. Safety rests on the
// compare-and-set of the whole record, done by a script in one step together
// with the store's identity (run_id and master_replid of the server that runs
// the script) and, for a save under a hold, the fence.
//
// # Keys
//
// All keys of one org are in one hash slot:
//
//	PREFIX:{ORG}:record   the record, JSON, its secrets sealed
//	PREFIX:{ORG}:lock     who holds it, with its time to live
//	PREFIX:{ORG}:fence    the last fence that was handed out
//	PREFIX:{ORG}:stamp    the store's identity and when a holder first saw it
//	PREFIX:{ORG}:history  its exchanges, by time: 200, 90 days
//	PREFIX:{ORG}:spool    answers that replicas without a disk keep, sealed
//	PREFIX:{orgs}         the orgs that have a record or a history
//	PREFIX:{spools}       the orgs that may have a spool
//	PREFIX:{identities}   identity of the store → when anybody first saw it
//	PREFIX:{claims}       fingerprint → org, a hash
//	PREFIX:{registry}     version and document, a hash
//	PREFIX:{meta}:NAME    what is made once
//	PREFIX:{check}        what the rights are tried out on
//	PREFIX:{…}:ack        written so that acknowledgements can be asked for
//
// An org enters the index before its record is written, so that a crash hides
// no record. The channels are PREFIX:records, PREFIX:registry, PREFIX:released
// and PREFIX:check.
//
// # Rights
//
// The least rights of a user, as a line of an ACL file; a Cluster needs
// +cluster|slots as well, Sentinels a user of their own with +hello +auth +ping
// +subscribe +sentinel|get-master-addr-by-name +sentinel|sentinels
// +sentinel|replicas and the channels &*:
//
//	user sallyport on >PASSWORD resetkeys ~sallyport:* resetchannels &sallyport:* -@all +hello +auth +ping +select +info +time +wait +eval +evalsha +get +set +setnx +del +pexpire +pttl +sadd +smembers +hget +hset +hsetnx +hmget +hgetall +hdel +zadd +zrangebyscore +zremrangebyrank +zremrangebyscore +publish +subscribe +unsubscribe
//
// The server must never evict (maxmemory-policy noeviction) and should write an
// append-only file; [Store.Check] tells.
package redisstore
