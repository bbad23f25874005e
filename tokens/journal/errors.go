package journal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/sallyport/sallyport/tokens"
)

var (
	// ErrLocked is matched by every [LockedError].
	ErrLocked = errors.New("another process uses this journal")
	// ErrClosed says that the journal was closed. Nothing was written.
	ErrClosed = errors.New("the journal is closed")
	// ErrUnknownAttempt says that an answer came for an attempt that was never
	// begun here. Nothing was written.
	ErrUnknownAttempt = errors.New("the journal knows no such attempt")
	// ErrAnswered says that an attempt has another answer already, which stays.
	ErrAnswered = errors.New("the journal has another answer of this attempt")
	// ErrTooLarge says that a line is larger than a journal takes. Nothing was
	// written.
	ErrTooLarge = errors.New("the line is larger than a journal takes")
)

// LockedError says that another process has the journal. Trying again helps
// once that process has ended.
type LockedError struct {
	Path string
	PID  int // 0: not known
}

// Error says who, and what to do.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s uses this journal (%s): one process a state directory; stop it, or give this one a directory of its own", who, e.Path)
}

// Is reports whether target is [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// DiskError says that the disk refused. It matches [tokens.ErrDegraded] unless
// the disk was only full.
type DiskError struct {
	Op   string // what was tried
	File string
	Full bool // nothing was written; trying again is safe, and helps once there is room
	Err  error
}

// Error says what happened and what to do.
func (e *DiskError) Error() string {
	hint := "no exchange begins here until sallyport was restarted on a sound disk"
	if e.Full {
		hint = "nothing was written; make room, and it goes on by itself"
	}
	return fmt.Sprintf("journal: %s of %s failed: %v; %s", e.Op, e.File, e.Err, hint)
}

// Unwrap returns the cause, and [tokens.ErrDegraded] where the disk failed.
func (e *DiskError) Unwrap() []error {
	if e.Full {
		return []error{e.Err}
	}
	return []error{tokens.ErrDegraded, e.Err}
}

func diskError(op, file string, err error) *DiskError {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	return &DiskError{Op: op, File: file, Full: full, Err: err}
}

// CorruptError says that lines which were promised can't be read. Everything
// else was. The files are left as they are, and reading them again doesn't
// help.
type CorruptError struct {
	File   string
	Offset int64 // where the damage begins
	Resume int64 // where the next readable line begins; 0: nowhere
}

// Error says where, and what to do.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal file %s is damaged from byte %d to %d: answers may be lost, and no exchange begins here; "+
		"restore the file or, once `sallyport doctor` shows no grant in doubt, move it away and restart", e.File, e.Offset, e.Resume)
}

// Is reports whether target is [tokens.ErrDegraded]: Begin refuses.
func (e *CorruptError) Is(target error) bool { return target == tokens.ErrDegraded }

// FormatError says that a newer sallyport wrote the journal. Nothing was
// changed; run that version.
type FormatError struct {
	File         string
	Found, Known int
}

// Error says which formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("journal file %s has format %d and this version knows up to %d: run the version that wrote it",
		e.File, e.Found, e.Known)
}
