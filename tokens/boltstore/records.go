package boltstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/tokens"
)

// Load implements [tokens.Store].
func (s *Store) Load(ctx context.Context, org tokens.OrgID) (tokens.Record, error) {
	if err := ctx.Err(); err != nil {
		return tokens.Record{}, err
	}
	var r tokens.Record
	err := s.view(func(tx *bbolt.Tx) (err error) {
		r, err = decode(org, tx.Bucket(bucketRecords).Get([]byte(org)))
		return err
	})
	if err == nil && !r.Known() {
		err = fmt.Errorf("org %s: %w", org, tokens.ErrUnknownOrg)
	}
	return r, err
}

// All implements [tokens.Store]. It reads in several steps, and doesn't hold a
// transaction while the caller is at work. A record that can't be read is an
// error of its own, and the others follow.
func (s *Store) All(ctx context.Context) iter.Seq2[tokens.Record, error] {
	return func(yield func(tokens.Record, error) bool) {
		var next []byte
		for {
			var r tokens.Record
			found := false
			err := ctx.Err()
			if err == nil {
				err = s.view(func(tx *bbolt.Tx) (err error) {
					c := tx.Bucket(bucketRecords).Cursor()
					k, v := c.Seek(next)
					if found = k != nil; !found {
						return nil
					}
					next = append(bytes.Clone(k), 0) // the least key after it
					r, err = decode(tokens.OrgID(k), v)
					return err
				})
			}
			if err == nil && !found || !yield(r, err) || err != nil && !found {
				return
			}
		}
	}
}

// Commit implements [tokens.Store]. It claims the token's fingerprint for org
// in the same step, unless another org has it: an answer isn't refused for
// that.
func (s *Store) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	if err := ctx.Err(); err != nil {
		return tokens.Record{}, tokens.LandedNowhere, err
	}
	var r tokens.Record
	var landing tokens.Landing
	err := s.update(func(tx *bbolt.Tx) error {
		records := tx.Bucket(bucketRecords)
		old, err := decode(org, records.Get([]byte(org)))
		if err != nil {
			return err
		}
		switch r, landing = c.Over(old, s.sight()); landing {
		case tokens.LandedNowhere:
			return nil
		case tokens.LandedAlready:
		default:
			next, err := encode(org, old, r)
			if err != nil {
				return err
			}
			if err := records.Put([]byte(org), next); err != nil {
				return err
			}
		}
		if name := []byte(c.Record.Fingerprint); len(name) > 0 && tx.Bucket(bucketClaims).Get(name) == nil {
			return tx.Bucket(bucketClaims).Put(name, []byte(org))
		}
		return nil
	})
	if err != nil {
		return tokens.Record{}, tokens.LandedNowhere, fmt.Errorf("commit the answer of org %s: %w", org, err)
	}
	return r, landing, nil
}

// decode reads a record; none is the zero record. One of a newer schema that
// can't be read is [tokens.ErrSchema].
func decode(org tokens.OrgID, raw []byte) (tokens.Record, error) {
	var r tokens.Record
	if raw == nil {
		return r, nil
	}
	err := json.Unmarshal(raw, &r)
	if err == nil {
		return r, nil
	}
	var v struct {
		Schema int `json:"schema"`
	}
	if json.Unmarshal(raw, &v) == nil && v.Schema > tokens.Schema {
		err = tokens.ErrSchema
	}
	return tokens.Record{}, fmt.Errorf("read the record of org %s: %w", org, err)
}

// encode refuses what must not be written over old.
func encode(org tokens.OrgID, old, r tokens.Record) ([]byte, error) {
	if old.Schema > tokens.Schema || r.Schema > tokens.Schema {
		return nil, fmt.Errorf("org %s: %w", org, tokens.ErrSchema)
	}
	if r.Org != org || !r.Known() {
		return nil, fmt.Errorf("org %s: the record is of org %q and schema %d", org, r.Org, r.Schema)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the record of org %s: %w", org, err)
	}
	return b, nil
}
