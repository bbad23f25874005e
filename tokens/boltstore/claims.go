package boltstore

import (
	"context"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/tokens"
)

// Claim implements [tokens.Claims]. It fails with a [*ClaimedError], which
// names the other org.
func (s *Store) Claim(ctx context.Context, org tokens.OrgID, names []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error {
		claims := tx.Bucket(bucketClaims)
		for _, name := range names {
			if name == "" {
				continue
			}
			switch who := tokens.OrgID(claims.Get([]byte(name))); who {
			case org:
			case "":
				if err := claims.Put([]byte(name), []byte(org)); err != nil {
					return err
				}
			default:
				return &ClaimedError{Org: org, Claimant: who}
			}
		}
		return nil
	})
}

// Claimant implements [tokens.Claims].
func (s *Store) Claimant(ctx context.Context, name string) (tokens.OrgID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var who tokens.OrgID
	err := s.view(func(tx *bbolt.Tx) error {
		who = tokens.OrgID(tx.Bucket(bucketClaims).Get([]byte(name)))
		return nil
	})
	return who, err
}

// Claimed calls f with every claim, in the order of the names, until f fails.
func (s *Store) Claimed(ctx context.Context, f func(name string, org tokens.OrgID) error) error {
	type claim struct{ name, org string }
	var all []claim
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketClaims).ForEach(func(name, org []byte) error {
			all = append(all, claim{string(name), string(org)})
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := f(c.name, tokens.OrgID(c.org)); err != nil {
			return err
		}
	}
	return nil
}
