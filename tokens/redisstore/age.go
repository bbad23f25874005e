package redisstore

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

//go:embed age.lua
var ageSource string

var scriptAge = newScript(ageSource)

func (k keys) identities() string { return string(k) + ":{identities}" }

// age is how long ago anybody first saw the store under id, for all orgs: one
// that nobody has held before is no younger than its store. fresh says that the
// answer may not be one from memory, since the org's own stamp is new: the store
// may have been emptied.
func (s *Store) age(ctx context.Context, id tokens.StoreIdentity, fresh bool) (time.Duration, error) {
	s.mu.Lock()
	first, known := s.firstSeen[id]
	s.mu.Unlock()
	if known && !fresh {
		return time.Since(first), nil
	}
	out, err := s.repeat(ctx, s.k.identities(), eval(&scriptAge, []string{s.k.identities()}, string(id)))
	if err != nil {
		return 0, err
	}
	us, ok := number(out[0].Val())
	if !ok {
		return 0, errAnswer(out[0].Val())
	}
	age := time.Duration(us) * time.Microsecond
	s.mu.Lock()
	defer s.mu.Unlock()
	s.firstSeen[id] = time.Now().Add(-age)
	return age, nil
}

// MarkNew says that the store is brand-new under its present identity: nothing
// that it could have lost was ever in it. Call it right after the deployment was
// made, by the process that made it.
func (s *Store) MarkNew(ctx context.Context) error {
	ids, err := s.masters(ctx)
	if err != nil {
		return fmt.Errorf("mark a store as new: %w", err)
	}
	for _, id := range ids {
		if _, err := s.write(ctx, s.k.identities(), command("HSET", s.k.identities(), string(id), "0")); err != nil {
			return fmt.Errorf("mark a store as new: %w", err)
		}
	}
	return nil
}
