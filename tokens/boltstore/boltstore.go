package boltstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// The buckets of the file.
var (
	bucketRecords  = []byte("records")  // org → JSON
	bucketFences   = []byte("fences")   // org → big endian
	bucketClaims   = []byte("claims")   // name → org
	bucketHistory  = []byte("history")  // org → bucket of time, sequence → JSON
	bucketMeta     = []byte("meta")     // key → value
	bucketRegistry = []byte("registry") // document and version
)

// lockWait is how long Open waits for a process that is about to end.
const lockWait = 250 * time.Millisecond

// Options of a store.
type Options struct {
	// Path of the file, which is made, 0600. Required.
	Path string
	// Now is the clock; nil: [time.Now].
	Now func() time.Time
}

// Store is one bbolt file. It is safe for concurrent use.
type Store struct {
	db       *bbolt.DB
	file     *os.File // bbolt's, so that tests can break it
	now      func() time.Time
	identity tokens.StoreIdentity
	opened   time.Time
	failed   atomic.Bool
	closed   chan struct{}
	close    func() error
	locks    locks
}

var (
	_ tokens.Store   = (*Store)(nil)
	_ tokens.Claims  = (*Store)(nil)
	_ tokens.History = (*Store)(nil)
	_ registry.Store = (*Store)(nil)
)

// Open opens the file, and makes it and its directory (0700) where there is
// none. It fails with a [*LockedError] while another process has it, or another
// Open in this one.
func Open(o Options) (_ *Store, err error) {
	defer rescue(&err)
	if o.Path == "" {
		return nil, errors.New("boltstore: Options needs Path")
	}
	s := &Store{now: o.Now, closed: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fmt.Errorf("boltstore: %w", err)
	}
	s.db, err = bbolt.Open(o.Path, 0o600, &bbolt.Options{
		Timeout: lockWait, FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f
			return f, err
		},
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, &LockedError{Path: o.Path}
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", o.Path, err)
	}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		return s.db.Close()
	})
	if err := s.prepare(o.Path); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

func (s *Store) prepare(path string) error {
	if err := s.file.Chmod(0o600); err != nil { // one that was there already
		return fmt.Errorf("boltstore: %w", err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketRecords, bucketFences, bucketClaims, bucketHistory, bucketMeta, bucketRegistry} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("boltstore: prepare %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("boltstore: make the name of %s durable: %w", path, err)
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand, Go 1.24)
	s.identity, s.opened = tokens.StoreIdentity(hex.EncodeToString(id)), s.now()
	return nil
}

// sight is what the store says of itself: its identity is this start.
func (s *Store) sight() tokens.Sight {
	return tokens.Sight{Identity: s.identity, Stamped: max(s.now().Sub(s.opened), 0), Exclusive: true}
}

// Close ends all holds ([tokens.Hold.Lost]), waits for the transactions under
// way, and lets another process open the file. Calls after it fail with
// [ErrClosed].
func (s *Store) Close() error { return s.close() }
