package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// What is kept of an org's history.
const (
	keptExchanges = 200
	keptFor       = 90 * 24 * time.Hour
)

// Append implements [tokens.History]. It keeps the newest 200 exchanges of an
// org, and none that is older than 90 days. An exchange without a time happened
// now. The same exchange twice is kept once.
func (s *Store) Append(ctx context.Context, e tokens.Exchange) error {
	if e.Org == "" {
		return errors.New("history: an exchange without an org")
	}
	now := time.Now()
	if e.Time.IsZero() {
		e.Time = now
	}
	v, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history of org %s: %w", e.Org, err)
	}
	s.mu.Lock()
	known := s.indexed[e.Org]
	s.mu.Unlock()
	if err := s.index(ctx, e.Org, !known); err != nil {
		return fmt.Errorf("history of org %s: %w", e.Org, err)
	}
	key := s.k.history(e.Org)
	_, err = s.repeat(ctx, key,
		command("ZADD", key, e.Time.UnixMicro(), v),
		command("ZREMRANGEBYRANK", key, 0, -keptExchanges-1),
		command("ZREMRANGEBYSCORE", key, "-inf", "("+strconv.FormatInt(now.Add(-keptFor).UnixMicro(), 10)),
		command("PEXPIRE", key, keptFor.Milliseconds()))
	if err != nil {
		return fmt.Errorf("history of org %s: %w", e.Org, err)
	}
	return nil
}

// List returns the newest n exchanges after a time, of one org or, where org is
// empty, of all, oldest first. n < 1: as many as there are.
func (s *Store) List(ctx context.Context, org tokens.OrgID, after time.Time, n int) ([]tokens.Exchange, error) {
	orgs := []tokens.OrgID{org}
	if org == "" {
		var err error
		if orgs, err = s.members(ctx, s.k.orgs()); err != nil {
			return nil, fmt.Errorf("list the orgs: %w", err)
		}
	}
	from := "-inf"
	if !after.IsZero() {
		from = strconv.FormatInt(after.UnixMicro(), 10)
	}
	var out []tokens.Exchange
	for page := range slices.Chunk(orgs, pageSize) {
		read, err := s.gather(ctx, page, func(org tokens.OrgID) (string, step) {
			return s.k.history(org), command("ZRANGEBYSCORE", s.k.history(org), from, "+inf")
		})
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		for _, cmd := range read {
			lines, err := cmd.StringSlice()
			if err != nil {
				return nil, fmt.Errorf("read the history: %w", err)
			}
			for _, l := range lines {
				var e tokens.Exchange
				if err := json.Unmarshal([]byte(l), &e); err != nil {
					return nil, fmt.Errorf("read the history: %w", err)
				}
				if e.Time.After(after) {
					out = append(out, e)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b tokens.Exchange) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Org, b.Org), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Generation, b.Generation))
	})
	if n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out, nil
}
