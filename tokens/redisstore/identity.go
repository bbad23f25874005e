package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// Identity changes whenever what the store holds may have gone back: when a
// server was restarted or another took its place. In a Cluster it is that of all
// masters that can be reached; each org has that of its own node, as a hold sees
// it.
func (s *Store) Identity(ctx context.Context) (tokens.StoreIdentity, error) {
	if s.d.cluster == nil {
		key := s.k.meta("identity")
		out, err := s.read(ctx, key, eval(&scriptLook, []string{key, key}))
		if err != nil {
			return "", fmt.Errorf("read the store's identity: %w", err)
		}
		v, err := parseView(out[0])
		return v.sight.Identity, err
	}
	ids, err := s.masters(ctx)
	if len(ids) == 0 {
		return "", fmt.Errorf("read the store's identity: %w", err)
	}
	slices.Sort(ids)
	var all strings.Builder
	for _, id := range ids {
		all.WriteString(string(id) + " ")
	}
	return tokens.StoreIdentity(all.String()), nil
}

// masters returns the identity of each master, and why one couldn't be asked.
func (s *Store) masters(ctx context.Context) ([]tokens.StoreIdentity, error) {
	var ids []tokens.StoreIdentity
	ask := func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return readFault(fault(ctx, err))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		ids = append(ids, identityOf(text))
		return nil
	}
	if s.d.cluster == nil {
		err := ask(ctx, s.d.alone)
		return ids, err
	}
	// Each node that answers counts, whatever others do.
	err := s.d.cluster.ForEachMaster(ctx, ask)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(ids), err
}

// identityOf reads it from what INFO says.
func identityOf(info string) tokens.StoreIdentity {
	run, replid := "", ""
	for line := range strings.Lines(info) {
		switch k, v, _ := strings.Cut(strings.TrimSpace(line), ":"); k {
		case "run_id":
			run = v
		case "master_replid":
			replid = v
		}
	}
	return tokens.StoreIdentity(run + ":" + replid)
}
