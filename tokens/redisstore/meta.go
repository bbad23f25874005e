package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/internal/registry"
)

// Meta returns the value that is kept under name, nil where there is none.
func (s *Store) Meta(ctx context.Context, name string) ([]byte, error) {
	out, err := s.read(ctx, s.k.meta(name), command("GET", s.k.meta(name)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	v, err := out[0].Text()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	s.mind(name, v)
	return []byte(v), err
}

// mind keeps the deployment's id.
func (s *Store) mind(name, value string) {
	if name == metaDeployment && value != "" {
		s.deployment.Store(&value)
	}
}

// MetaOnce keeps value under name unless one is kept there, and returns the one
// that is.
func (s *Store) MetaOnce(ctx context.Context, name string, value []byte) ([]byte, error) {
	if reservedMeta[name] {
		return nil, fmt.Errorf("redisstore: the name %q is an org's", name)
	}
	// What is there needs no replica to acknowledge it: a start must not hang on one.
	if kept, err := s.Meta(ctx, name); err != nil || kept != nil {
		return kept, err
	}
	key := s.k.meta(name)
	out, err := s.write(ctx, key, command("SETNX", key, value), command("GET", key))
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	kept, err := out[1].Text()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	s.mind(name, kept)
	return []byte(kept), nil
}

// SetMeta keeps value under name, in place of what was there.
func (s *Store) SetMeta(ctx context.Context, name string, value []byte) error {
	if reservedMeta[name] {
		return fmt.Errorf("redisstore: the name %q is an org's", name)
	}
	key := s.k.meta(name)
	if _, err := s.write(ctx, key, command("SET", key, value)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	s.mind(name, string(value))
	return nil
}

// LoadRegistry implements [registry.Store].
func (s *Store) LoadRegistry(ctx context.Context) (doc []byte, version uint64, err error) {
	key := s.k.registry()
	out, err := s.read(ctx, key, command("HMGET", key, "version", "document"))
	if err != nil {
		return nil, 0, fmt.Errorf("load the registry: %w", err)
	}
	v, err := out[0].Slice()
	if err != nil || len(v) != 2 {
		return nil, 0, errAnswer(v)
	}
	text, ok := v[0].(string)
	if !ok {
		return nil, 0, nil
	}
	if version, err = strconv.ParseUint(text, 10, 64); err != nil {
		return nil, 0, fmt.Errorf("the stored registry has no version: restore it: %w", err)
	}
	kept, _ := v[1].(string)
	return []byte(kept), version, nil
}

// SaveRegistry implements [registry.Store], and tells the other replicas. It
// fails with [registry.ErrConflict] where another version is there, with
// [tokens.ErrUnknown] where no answer came: read it then.
func (s *Store) SaveRegistry(ctx context.Context, doc []byte, expect uint64) error {
	key := s.k.registry()
	next := strconv.FormatUint(expect+1, 10)
	out, err := s.write(ctx, key, eval(&scriptRegistry, []string{key}, strconv.FormatUint(expect, 10), next, doc),
		command("PUBLISH", s.k.chanRegistry(), next))
	if err != nil {
		return fmt.Errorf("save the registry: %w", err)
	}
	if n, err := out[0].Int(); err != nil || n != 1 {
		return errors.Join(err, registry.ErrConflict)
	}
	return nil
}

// WatchRegistry calls changed, one call at a time, after each change of the
// registry by any process, and whenever its subscription stands, until ctx ends,
// and returns ctx's error. It goes on by itself after a lost connection.
func (s *Store) WatchRegistry(ctx context.Context, changed func()) error {
	return s.listen(ctx, s.k.chanRegistry(), changed, func(string) { changed() })
}
