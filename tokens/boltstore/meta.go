package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/internal/registry"
)

// Meta returns the value that is kept under key, nil where there is none.
func (s *Store) Meta(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var v []byte
	err := s.view(func(tx *bbolt.Tx) error {
		v = bytes.Clone(tx.Bucket(bucketMeta).Get([]byte(key)))
		return nil
	})
	return v, err
}

// MetaOnce keeps value under key unless one is kept there, and returns the one
// that is.
func (s *Store) MetaOnce(ctx context.Context, key string, value []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kept := value
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		if v := b.Get([]byte(key)); v != nil {
			kept = bytes.Clone(v)
			return nil
		}
		return b.Put([]byte(key), value)
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// SetMeta keeps value under key, in place of what was there.
func (s *Store) SetMeta(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte(key), value) })
}

// registryKey holds the version, 8 bytes, and the document.
var registryKey = []byte("document")

var errRegistryShort = errors.New("the stored registry is shorter than its version: the file is damaged, restore it")

// LoadRegistry implements [registry.Store].
func (s *Store) LoadRegistry(ctx context.Context) (doc []byte, version uint64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		doc, version, err = readRegistry(tx)
		return err
	})
	return doc, version, err
}

// SaveRegistry implements [registry.Store]. It fails with
// [registry.ErrConflict] where another version is there.
func (s *Store) SaveRegistry(ctx context.Context, doc []byte, expect uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error {
		_, version, err := readRegistry(tx)
		if err != nil {
			return err
		}
		if version != expect {
			return registry.ErrConflict
		}
		v := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(doc)), expect+1)
		return tx.Bucket(bucketRegistry).Put(registryKey, append(v, doc...))
	})
}

func readRegistry(tx *bbolt.Tx) (doc []byte, version uint64, err error) {
	v := tx.Bucket(bucketRegistry).Get(registryKey)
	switch {
	case v == nil:
		return nil, 0, nil
	case len(v) < 8:
		return nil, 0, errRegistryShort
	}
	return bytes.Clone(v[8:]), binary.BigEndian.Uint64(v), nil
}
