package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/sallyport/sallyport/tokens"
)

var errNoSealer = errors.New("redisstore: Options needs Sealer to keep answers")

// Keep implements [tokens.Spool]. The whole entry is sealed for its org. An
// error means that it isn't known to be kept; trying again is safe.
func (s *Store) Keep(ctx context.Context, e tokens.Entry) error {
	if s.sealer == nil {
		return errNoSealer
	}
	plain, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("keep an answer of org %s: %w", e.Org, err)
	}
	sealed, err := s.sealer.Seal(plain, string(e.Org), tokens.FieldAnswer)
	clear(plain)
	if err != nil {
		return fmt.Errorf("keep an answer of org %s: %w", e.Org, err)
	}
	if _, err := s.write(ctx, s.k.spools(), command("SADD", s.k.spools(), string(e.Org))); err != nil && !errors.Is(err, tokens.ErrShort) {
		return fmt.Errorf("keep an answer of org %s: %w", e.Org, err)
	}
	if _, err := s.write(ctx, s.k.spool(e.Org), command("HSET", s.k.spool(e.Org), string(e.Attempt), sealed)); err != nil {
		return fmt.Errorf("keep an answer of org %s: %w", e.Org, err)
	}
	return nil
}

// Kept implements [tokens.Spool]. An answer that can't be opened is an error of
// its own, and the others follow.
func (s *Store) Kept(ctx context.Context) iter.Seq2[tokens.Entry, error] {
	return func(yield func(tokens.Entry, error) bool) {
		if s.sealer == nil {
			yield(tokens.Entry{}, errNoSealer)
			return
		}
		orgs, err := s.members(ctx, s.k.spools())
		if err != nil {
			yield(tokens.Entry{}, fmt.Errorf("list the kept answers: %w", err))
			return
		}
		for _, org := range orgs {
			out, err := s.read(ctx, s.k.spool(org), command("HGETALL", s.k.spool(org)))
			var pairs []string
			if err == nil {
				pairs, err = out[0].StringSlice()
			}
			if err != nil {
				yield(tokens.Entry{}, fmt.Errorf("read the kept answers of org %s: %w", org, err))
				return
			}
			for i := 1; i < len(pairs); i += 2 {
				if !yield(s.openEntry(org, pairs[i])) {
					return
				}
			}
		}
	}
}

func (s *Store) openEntry(org tokens.OrgID, sealed string) (e tokens.Entry, err error) {
	plain, err := s.sealer.Open([]byte(sealed), string(org), tokens.FieldAnswer)
	if err == nil {
		err = json.Unmarshal(plain, &e)
		clear(plain)
	}
	if err != nil {
		return tokens.Entry{}, fmt.Errorf("open a kept answer of org %s: %w", org, err)
	}
	return e, nil
}

// Drop implements [tokens.Spool].
func (s *Store) Drop(ctx context.Context, org tokens.OrgID, id tokens.AttemptID) error {
	if _, err := s.repeat(ctx, s.k.spool(org), command("HDEL", s.k.spool(org), string(id))); err != nil {
		return fmt.Errorf("drop a kept answer of org %s: %w", org, err)
	}
	return nil
}
