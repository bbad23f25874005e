package redisstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/tokens"
)

var _ tokens.Asker = (*Store)(nil)

// wantMessage is a [tokens.Want] as it is published.
type wantMessage struct {
	Deployment string      `json:"deployment"`
	Writer     string      `json:"writer"`
	Want       tokens.Want `json:"want"`
}

func (k keys) chanWants() string { return string(k) + ":wants" }

// Ask implements [tokens.Asker].
func (s *Store) Ask(ctx context.Context, w tokens.Want) error {
	deployment, err := s.deploymentID(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(wantMessage{deployment, s.replica, w})
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	if _, err := s.read(ctx, s.k.orgs(), command("PUBLISH", s.k.chanWants(), b)); err != nil {
		return fmt.Errorf("ask the other replicas: %w", err)
	}
	return nil
}

// Asked implements [tokens.Asker]. It ignores what this process asked itself,
// other deployments, and what makes no sense.
func (s *Store) Asked(ctx context.Context, wanted func(tokens.Want)) error {
	return s.listen(ctx, s.k.chanWants(), nil, func(payload string) {
		var m wantMessage
		if json.Unmarshal([]byte(payload), &m) != nil || m.Writer == s.replica || m.Want.Org == "" {
			return
		}
		if deployment, err := s.deploymentID(ctx); err == nil && m.Deployment == deployment {
			wanted(m.Want)
		}
	})
}
