package redisstore

import (
	"context"
	"encoding/json"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// Hashes of scripts, by which a test finds their calls on the wire.
var (
	HashHold   = scriptHold.hash
	HashSwap   = scriptSwap.hash
	HashRenew  = scriptRenew.hash
	HashClaim  = scriptClaim.hash
	MaxMessage = maxMessage
)

// Plant writes a record past every check.
func (s *Store) Plant(r tokens.Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.PlantRaw(r.Org, string(b))
}

// PlantRaw writes bytes in place of a record.
func (s *Store) PlantRaw(org tokens.OrgID, raw string) error {
	ctx := context.Background()
	_, err := s.write(ctx, s.k.orgs(), command("SADD", s.k.orgs(), string(org)))
	if err == nil {
		_, err = s.write(ctx, s.k.record(org), command("SET", s.k.record(org), raw))
	}
	return err
}

// Expire ends the lock of org and reports whether somebody held it.
func (s *Store) Expire(org tokens.OrgID) bool {
	out, err := s.write(context.Background(), s.k.lock(org), command("DEL", s.k.lock(org)))
	if err != nil {
		return false
	}
	n, _ := out[0].Int()
	return n == 1
}

// Shout publishes a message on the channel of records.
func (s *Store) Shout(payload string) error {
	_, err := s.write(context.Background(), s.k.chanRecords(), command("PUBLISH", s.k.chanRecords(), payload))
	return err
}

// AddHook adds a hook to the client of a server that stands alone.
func (s *Store) AddHook(h redis.Hook) { s.d.alone.AddHook(h) }

// Waiting is how many of this process wait for a lock.
func (s *Store) Waiting() int {
	s.waiters.mu.Lock()
	defer s.waiters.mu.Unlock()
	n := 0
	for _, w := range s.waiters.orgs {
		n += len(w)
	}
	return n
}

// Unprobed makes a store without asking the server anything.
func Unprobed(o Options) (*Store, error) { return newStore(o) }
