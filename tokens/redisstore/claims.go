package redisstore

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/tokens"
)

// Claim implements [tokens.Claims]. It fails with a [*ClaimedError], which
// names the other org.
func (s *Store) Claim(ctx context.Context, org tokens.OrgID, names []string) error {
	args := []any{string(org)}
	for _, n := range names {
		if n != "" {
			args = append(args, n)
		}
	}
	if len(args) == 1 {
		return ctx.Err()
	}
	out, err := s.write(ctx, s.k.claims(), eval(&scriptClaim, []string{s.k.claims()}, args...))
	if err != nil {
		return fmt.Errorf("claim a token for org %s: %w", org, err)
	}
	who, err := out[0].Text()
	if err != nil {
		return fmt.Errorf("claim a token for org %s: %w", org, err)
	}
	if who != "" {
		return &ClaimedError{Org: org, Claimant: tokens.OrgID(who)}
	}
	return nil
}

// Claimant implements [tokens.Claims].
func (s *Store) Claimant(ctx context.Context, name string) (tokens.OrgID, error) {
	out, err := s.read(ctx, s.k.claims(), command("HGET", s.k.claims(), name))
	if err != nil {
		return "", fmt.Errorf("ask who claimed a token: %w", err)
	}
	who, _ := out[0].Text() // empty where nobody has
	return tokens.OrgID(who), nil
}
