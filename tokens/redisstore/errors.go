package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

var (
	// ErrURL says that the URL or the other options of a store make no sense.
	ErrURL = errors.New("the Redis URL can't be used")
	// ErrUnavailable says that the server couldn't be reached or can't do it now
	// (it is loading, read-only, full, without replicas, moved). Nothing was
	// written; trying again is safe and may help.
	ErrUnavailable = errors.New("the Redis store is not available: nothing was written, trying again is safe")
	// ErrDenied says that the server refused the user, its password or a
	// command. Nothing was written; a person must mend it.
	ErrDenied = errors.New("the Redis server refused the user: nothing was written")
	// ErrClosed says that the store was closed. Nothing was written.
	ErrClosed = errors.New("the store is closed")
)

// ClaimedError says that another org holds or held the token with this
// fingerprint. Nothing was written; the same claim fails again.
type ClaimedError struct{ Org, Claimant tokens.OrgID }

// Error says who.
func (e *ClaimedError) Error() string {
	return fmt.Sprintf("org %s: org %s holds or held this token: one grant has one name", e.Org, e.Claimant)
}

// Is reports whether target is [tokens.ErrClaimed].
func (e *ClaimedError) Is(target error) bool { return target == tokens.ErrClaimed }

// Error is a command that failed. It holds no secret.
type Error struct {
	// Kind is [ErrUnavailable], [ErrDenied], [ErrClosed] or [tokens.ErrUnknown].
	Kind error
	// Hint says what to do, empty where waiting is all.
	Hint string
	// Err is what the server or the network said.
	Err error
}

// Error tells all three.
func (e *Error) Error() string {
	s := fmt.Sprintf("%v (%v)", e.Kind, e.Err)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// unsentError is a failure to connect: no command can have left.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// movedError says that another node of the Cluster has the key now.
type movedError struct{ error }

func (e movedError) Unwrap() error { return e.error }

// fault says what a command that failed with err means: where the server
// answered, nothing was written, since each script writes in its last step.
func fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	switch {
	case errors.Is(err, redis.ErrClosed):
		return &Error{Kind: ErrClosed, Err: err}
	case errors.As(err, &reply):
		return refused(err)
	case errors.As(err, new(unsentError)), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return &Error{Kind: ErrUnavailable, Err: late(ctx, err)}
	}
	return &Error{Kind: tokens.ErrUnknown, Err: late(ctx, err)}
}

// late names the context's error where the socket's deadline, which is the same
// moment, was noticed first.
func late(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	var n net.Error
	if end, ok := ctx.Deadline(); ok && errors.As(err, &n) && n.Timeout() && time.Until(end) < 5*time.Millisecond {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}

// refused says what the server's own error means.
func refused(err error) error {
	if moved(err) {
		err = movedError{err}
	}
	e := &Error{Kind: ErrUnavailable, Err: err}
	switch {
	case redis.IsAuthError(err):
		e.Kind, e.Hint = ErrDenied, "check user and password of SALLYPORT_STORE"
	case redis.IsPermissionError(err), scriptDenied(err):
		e.Kind, e.Hint = ErrDenied, "give the user the rights that sallyport's documentation lists, channels included"
	case redis.IsReadOnlyError(err):
		e.Hint = "this server is a replica: a failover is under way, or SALLYPORT_STORE names the wrong one"
	case redis.IsOOMError(err):
		e.Hint = "its memory is full: raise maxmemory"
	case redis.IsNoReplicasError(err):
		e.Hint = "it has fewer replicas than min-replicas-to-write asks for"
	case strings.HasPrefix(err.Error(), "MISCONF"):
		e.Hint = "it can't write to its disk: see its log"
	}
	return e
}

// scriptDenied reports whether a script met a command or a key that its user has
// no right to, which Redis 7.0 says without NOPERM.
func scriptDenied(err error) bool {
	return strings.HasPrefix(err.Error(), "ERR The user executing the script can't ")
}

func moved(err error) bool {
	_, m := redis.IsMovedError(err)
	_, a := redis.IsAskError(err)
	return m || a || redis.IsTryAgainError(err) || redis.IsClusterDownError(err)
}

// readFault is [fault] of a command that writes nothing.
func readFault(err error) error {
	var e *Error
	if errors.As(err, &e) && errors.Is(e.Kind, tokens.ErrUnknown) {
		return &Error{Kind: ErrUnavailable, Hint: e.Hint, Err: e.Err}
	}
	return err
}
