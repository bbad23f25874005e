package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/sallyport/sallyport/tokens"
)

var (
	// ErrLocked is matched by every [LockedError].
	ErrLocked = errors.New("another process uses this store")
	// ErrClosed says that the store was closed. Nothing was written.
	ErrClosed = errors.New("the store is closed")
	// ErrFailed says that an earlier write failed, so that nothing more is
	// written. Reads go on. A restart on a sound disk helps.
	ErrFailed = errors.New("the store's disk failed: nothing is written until sallyport was restarted on a sound disk")
	// ErrFull says that the disk is full. Nothing was written; trying again is
	// safe, and helps once there is room.
	ErrFull = errors.New("the store's disk is full: nothing was written, make room")
)

// LockedError says that another process has the file. Trying again helps once
// that process has ended.
type LockedError struct{ Path string }

// Error says what to do.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another process uses the store %s: one process a file; stop it, or give this one a file of its own", e.Path)
}

// Is reports whether target is [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// ClaimedError says that another org holds or held the token with this
// fingerprint. Nothing was written; the same claim fails again.
type ClaimedError struct{ Org, Claimant tokens.OrgID }

// Error says who.
func (e *ClaimedError) Error() string {
	return fmt.Sprintf("org %s: org %s holds or held this token: one grant has one name", e.Org, e.Claimant)
}

// Is reports whether target is [tokens.ErrClaimed].
func (e *ClaimedError) Is(target error) bool { return target == tokens.ErrClaimed }

// fnError is an error of a transaction's own function: nothing was written, and
// the disk isn't to blame.
type fnError struct{ error }

func (e fnError) Unwrap() error { return e.error }

// rescue makes an error of a panic, which is how bbolt says that a page of the
// file makes no sense. Call it deferred.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: the file is damaged: %v", ErrFailed, p)
	}
}

// update runs fn in a transaction that is durable when update returns nil.
func (s *Store) update(fn func(*bbolt.Tx) error) (err error) {
	if s.failed.Load() {
		return ErrFailed
	}
	defer rescue(&err)
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if err := fn(tx); err != nil {
			return fnError{err}
		}
		return nil
	})
	if err = classify(err); errors.Is(err, ErrFailed) {
		s.failed.Store(true)
	}
	return err
}

// classify says what a transaction that failed with err means.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[fnError](err); ok {
		return own.error
	}
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	// bbolt lets the file grow and writes all pages before it writes the one that
	// makes them count, and that one has its place already: where there was no
	// room, nothing has changed.
	p, ok := errors.AsType[*fs.PathError](err)
	if ok && (p.Op == "write" || p.Op == "truncate") && errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w: %w", tokens.ErrUnknown, ErrFailed, err)
}

// view runs fn in a reading transaction.
func (s *Store) view(fn func(*bbolt.Tx) error) (err error) {
	defer rescue(&err)
	err = s.db.View(fn)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
