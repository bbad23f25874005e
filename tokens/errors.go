package tokens

import (
	"errors"
	"fmt"
	"time"
)

// The sentinels of the ports.
var (
	// ErrUnknownOrg says that the store has no record of the org.
	ErrUnknownOrg = errors.New("no grant is kept for this org")
	// ErrFenced says that the record is no longer the one that was read.
	ErrFenced = errors.New("another process changed the record meanwhile")
	// ErrUnknown says that a write may or may not have landed.
	ErrUnknown = errors.New("the store didn't say whether it has written")
	// ErrShort says that a write has landed, and that fewer replicas of the store
	// acknowledged it than the deployment asks for, so that a failover may lose
	// it. It is an ErrUnknown.
	ErrShort = fmt.Errorf("too few replicas of the store acknowledged the write: %w", ErrUnknown)
	// ErrSchema says that the record was written by a newer sallyport.
	ErrSchema = errors.New("the record was written by a newer sallyport: upgrade this one")
	// ErrClaimed says that another org holds or held this grant.
	ErrClaimed = errors.New("another org holds or held this token")
	// ErrDegraded says that the journal's disk failed and no exchange may begin
	// on this replica.
	ErrDegraded = errors.New("the journal's disk failed: no exchange begins here until sallyport was restarted on a sound disk")
)

// Class says what a refusal means for the refresh token that was sent. The zero
// Class is doubt: whatever isn't on the list of known refusals proves nothing.
type Class uint8

// The classes of a refusal.
const (
	ClassDoubt         Class = iota // the token may be spent
	ClassRateLimited                // refused before the token was looked at
	ClassBusy                       // somebody's exchange of this very token is under way
	ClassMisconfigured              // client, address or flow; whether the token is spent is not known
	ClassDead                       // the token is dead
)

// Refusal is an answer of the token endpoint that brought no token (RFC 6749,
// section 5.2). It holds no secret.
type Refusal struct {
	Class       Class
	Status      int
	Code        string // error
	Description string // error_description
	RetryAfter  time.Duration
}

// Error says what Salesforce said.
func (r *Refusal) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("the token endpoint answered %d without an OAuth error", r.Status)
	}
	return fmt.Sprintf("the token endpoint answered %d %s: %s", r.Status, r.Code, r.Description)
}

// Code names a failure as clients see it.
type Code string

// The codes of [Error].
const (
	CodeOrgNotAllowed     Code = "org_not_allowed"
	CodeReauthRequired    Code = "reauth_required"
	CodeSessionRejected   Code = "session_rejected"
	CodeMisconfigured     Code = "org_misconfigured"
	CodeUnavailable       Code = "token_unavailable"
	CodeEgressUnverified  Code = "egress_unverified"
	CodeShuttingDown      Code = "shutting_down"
	CodeUpstream          Code = "upstream_unreachable"
	CodeUpstreamTLS       Code = "upstream_tls"
	CodeAddressNotAllowed Code = "address_not_allowed"
	CodeConflict          Code = "conflict" // a person's command that doesn't fit the grant's state
)

// Error is why no token could be had, or why a command on a grant failed. It
// says what happened, to which org, what to do next and whether trying again is
// safe, and never holds a secret.
type Error struct {
	Org        OrgID
	Code       Code
	What       string        // what happened
	Hint       string        // what to do next
	Temporary  bool          // trying again is safe and may help
	RetryAfter time.Duration // when, zero if nobody knows
	Err        error
}

// Error tells it in one sentence or two.
func (e *Error) Error() string {
	s := fmt.Sprintf("org %s: %s", e.Org, e.What)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an [*Error] with the same code, so that callers
// can ask errors.Is(err, &tokens.Error{Code: …}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Org == "" && t.Err == nil
}
