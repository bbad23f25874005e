package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/tokens"
)

// What is kept of an org's history.
const (
	keptExchanges = 200
	keptFor       = 90 * 24 * time.Hour
)

// Append implements [tokens.History]. It keeps the newest 200 exchanges of an
// org, and none that is older than 90 days. An exchange without a time happened
// now.
func (s *Store) Append(ctx context.Context, e tokens.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.Org == "" {
		return fmt.Errorf("history: an exchange without an org")
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	v, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history of org %s: %w", e.Org, err)
	}
	return s.update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(bucketHistory).CreateBucketIfNotExists([]byte(e.Org))
		if err != nil {
			return err
		}
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(timeKey(e.Time), seq), v); err != nil {
			return err
		}
		return prune(b, timeKey(s.now().Add(-keptFor)))
	})
}

// timeKey orders as time does, from 1970 to 2262.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(t.UnixNano(), 0)))
}

func prune(b *bbolt.Bucket, oldest []byte) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for i, k := range keys {
		if len(keys)-i <= keptExchanges && bytes.Compare(k, oldest) >= 0 {
			return nil
		}
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// List returns the newest n exchanges after a time, of one org or, where org is
// empty, of all, oldest first. n < 1: as many as there are.
func (s *Store) List(ctx context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error) {
	var out []tokens.Exchange
	err := s.view(func(tx *bbolt.Tx) error {
		history := tx.Bucket(bucketHistory)
		if org != "" {
			return newest(ctx, history.Bucket([]byte(org)), after, n, &out)
		}
		return history.ForEachBucket(func(k []byte) error {
			return newest(ctx, history.Bucket(k), after, n, &out)
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b tokens.Exchange) int { return a.Time.Compare(b.Time) })
	if n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out, nil
}

// newest adds the newest n exchanges of b, oldest first.
func newest(ctx context.Context, b *bbolt.Bucket, after time.Time, n int, out *[]tokens.Exchange) error {
	if err := ctx.Err(); err != nil || b == nil {
		return err
	}
	var found []tokens.Exchange
	c := b.Cursor()
	for k, v := c.Last(); k != nil && (n < 1 || len(found) < n); k, v = c.Prev() {
		var e tokens.Exchange
		if err := json.Unmarshal(v, &e); err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if !e.Time.After(after) {
			break
		}
		found = append(found, e)
	}
	slices.Reverse(found)
	*out = append(*out, found...)
	return nil
}
