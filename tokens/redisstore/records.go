package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// Load implements [tokens.Store].
func (s *Store) Load(ctx context.Context, org tokens.OrgID) (tokens.Record, error) {
	out, err := s.read(ctx, s.k.record(org), command("GET", s.k.record(org)))
	if err != nil {
		return tokens.Record{}, fmt.Errorf("load the record of org %s: %w", org, err)
	}
	raw, _ := out[0].Text() // empty where there is none
	r, err := decode(org, raw)
	if err == nil && !r.Known() {
		err = fmt.Errorf("org %s: %w", org, tokens.ErrUnknownOrg)
	}
	return r, err
}

// pageSize is how many keys are read in one round trip.
const pageSize = 100

// All implements [tokens.Store]. It reads in several steps. A record that can't
// be read is an error of its own, and the others follow.
func (s *Store) All(ctx context.Context) iter.Seq2[tokens.Record, error] {
	return func(yield func(tokens.Record, error) bool) {
		orgs, err := s.members(ctx, s.k.orgs())
		if err != nil {
			yield(tokens.Record{}, fmt.Errorf("list the orgs: %w", err))
			return
		}
		for page := range slices.Chunk(orgs, pageSize) {
			read, err := s.gather(ctx, page, func(org tokens.OrgID) (string, step) {
				return s.k.record(org), command("GET", s.k.record(org))
			})
			if err != nil {
				yield(tokens.Record{}, fmt.Errorf("read the records: %w", err))
				return
			}
			for i, cmd := range read {
				raw, err := cmd.Text()
				if errors.Is(err, redis.Nil) {
					continue // in the index alone
				}
				r, err := decode(page[i], raw)
				if !yield(r, err) {
					return
				}
			}
		}
	}
}

// members reads a set of orgs.
func (s *Store) members(ctx context.Context, key string) ([]tokens.OrgID, error) {
	out, err := s.read(ctx, key, command("SMEMBERS", key))
	if err != nil {
		return nil, err
	}
	names, err := out[0].StringSlice()
	if err != nil {
		return nil, fmt.Errorf("redisstore: %s: %w", key, err)
	}
	orgs := make([]tokens.OrgID, len(names))
	for i, n := range names {
		orgs[i] = tokens.OrgID(n)
	}
	slices.Sort(orgs)
	return orgs, nil
}

// gather runs one step an org, in one round trip a node.
func (s *Store) gather(ctx context.Context, orgs []tokens.OrgID, of func(tokens.OrgID) (key string, _ step)) (replies, error) {
	byNode := map[*redis.Client][]int{}
	for i, org := range orgs {
		var node *redis.Client
		if s.d.cluster != nil {
			key, _ := of(org)
			node, _ = s.d.cluster.MasterForKey(ctx, key) // its read says what is wrong
		}
		byNode[node] = append(byNode[node], i)
	}
	all := make(replies, len(orgs))
	for _, at := range byNode {
		var keys []string
		var steps []step
		for _, i := range at {
			key, st := of(orgs[i])
			keys, steps = append(keys, key), append(steps, st)
		}
		out, err := s.read(ctx, keys[0], steps...)
		if errors.As(err, new(movedError)) { // some of them have another node by now
			out = out[:0]
			for i := range steps {
				one, err := s.read(ctx, keys[i], steps[i])
				if err != nil {
					return nil, err
				}
				out = append(out, one[0])
			}
			err = nil
		}
		if err != nil {
			return nil, err
		}
		for n, i := range at {
			all[i] = out[n]
		}
	}
	return all, nil
}

// index puts org into the set of orgs before its first record, so that a crash
// in between hides no record. In a Cluster, whose other node may lose the set
// alone, each process does it once an org.
func (s *Store) index(ctx context.Context, org tokens.OrgID, isNew bool) error {
	s.mu.Lock()
	known := s.indexed[org] || s.d.cluster == nil
	s.mu.Unlock()
	if known && !isNew {
		return nil
	}
	if _, err := s.repeat(ctx, s.k.orgs(), command("SADD", s.k.orgs(), string(org))); err != nil {
		return readFault(err) // the record isn't written
	}
	s.mu.Lock()
	s.indexed[org] = true
	s.mu.Unlock()
	return nil
}

// decode reads a record; none is the zero record. One of a newer schema that
// can't be read is [tokens.ErrSchema].
func decode(org tokens.OrgID, raw string) (tokens.Record, error) {
	var r tokens.Record
	if raw == "" {
		return r, nil
	}
	err := json.Unmarshal([]byte(raw), &r)
	if err == nil {
		return r, nil
	}
	var v struct {
		Schema int `json:"schema"`
	}
	if json.Unmarshal([]byte(raw), &v) == nil && v.Schema > tokens.Schema {
		err = tokens.ErrSchema
	}
	return tokens.Record{}, fmt.Errorf("read the record of org %s: %w", org, err)
}

// encode refuses what must not be written over old.
func encode(org tokens.OrgID, old, r tokens.Record) (string, error) {
	if old.Schema > tokens.Schema || r.Schema > tokens.Schema {
		return "", fmt.Errorf("org %s: %w", org, tokens.ErrSchema)
	}
	if r.Org != org || !r.Known() {
		return "", fmt.Errorf("org %s: the record is of org %q and schema %d", org, r.Org, r.Schema)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write the record of org %s: %w", org, err)
	}
	return string(b), nil
}

// number reads what a script made by whole.
func number(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}
