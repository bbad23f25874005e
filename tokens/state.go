package tokens

import "fmt"

// State is the state of a grant. The zero State is [ReauthRequired], so that
// what someone forgot to set errs to the safe side.
type State uint8

// The states of a grant.
const (
	ReauthRequired State = iota // a person must authorise; an answer of its epoch still revives it
	Ready                       // may be exchanged
	Exchanging                  // an intent is written: its token may be under way
	InDoubt                     // the request may have reached Salesforce and no answer was kept
	Quarantined                 // the store came back from somewhere that nobody remembers
)

var stateNames = [...]string{"reauth_required", "ready", "exchanging", "in_doubt", "quarantined"}

// States lists every state, for metrics.
func States() []State {
	return []State{ReauthRequired, Ready, Exchanging, InDoubt, Quarantined}
}

// String returns the name that the API and the metrics use.
func (s State) String() string { return name(stateNames[:], s) }

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. An unknown name is an
// error.
func (s *State) UnmarshalText(b []byte) error { return parse(stateNames[:], "state", b, s) }

// Reason says why a grant is [ReauthRequired] or [InDoubt]. The zero Reason is
// none.
type Reason string

// The reasons of [ReauthRequired].
const (
	ReasonDead      Reason = "dead"      // Salesforce said that the token is dead
	ReasonLost      Reason = "lost"      // spent, and its answer is gone
	ReasonUndecided Reason = "undecided" // no access token lives, and introspection has been silent for long
	ReasonRevoked   Reason = "revoked"   // a person revoked it
)

// The reasons of [InDoubt].
const (
	ReasonNoAnswer      Reason = "no_answer"     // sent, and no answer was kept
	ReasonUnclear       Reason = "unclear"       // an answer that proves nothing
	ReasonBusy          Reason = "busy"          // Salesforce was working on this very token
	ReasonMisconfigured Reason = "misconfigured" // refused for client id, secret, address or flow
	ReasonHealed        Reason = "healed"        // the store had lost what a replica remembered
	ReasonSilent        Reason = "silent"        // verification was asked for and Salesforce didn't say
)

// Outcome is how an attempt ended. The zero Outcome is unknown.
type Outcome uint8

// The outcomes of an attempt.
const (
	OutcomeUnknown       Outcome = iota // sent perhaps, answer unknown
	OutcomeIssued                       // an answer with a token was committed
	OutcomeNotSent                      // no byte left
	OutcomeRateLimited                  // refused before the token was looked at
	OutcomeMisconfigured                // refused as configuration
	OutcomeBusy                         // "token request is already being processed"
	OutcomeDead                         // refused: the token is dead
	OutcomeOrphaned                     // an answer of an older epoch, kept aside
	OutcomeSuperseded                   // the store holds something newer of the same epoch
)

var outcomeNames = [...]string{"unknown", "issued", "not_sent", "rate_limited", "misconfigured", "busy", "dead", "orphaned", "superseded"}

// String returns the name that the API and telemetry use.
func (o Outcome) String() string { return name(outcomeNames[:], o) }

// MarshalText implements [encoding.TextMarshaler].
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. An unknown name is an
// error.
func (o *Outcome) UnmarshalText(b []byte) error { return parse(outcomeNames[:], "outcome", b, o) }

// Rotation is what is known of an org's refresh token rotation.
type Rotation uint8

// What is known of rotation.
const (
	RotationUnknown Rotation = iota
	Rotates
	DoesNotRotate
)

var rotationNames = [...]string{"unknown", "rotates", "does_not_rotate"}

// String returns the name that the API uses.
func (r Rotation) String() string { return name(rotationNames[:], r) }

// MarshalText implements [encoding.TextMarshaler].
func (r Rotation) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. An unknown name is an
// error.
func (r *Rotation) UnmarshalText(b []byte) error { return parse(rotationNames[:], "rotation", b, r) }

// Why an exchange was begun, as telemetry and the history name it.
const (
	CauseFirst     = "first"     // there is no access token yet
	CauseExpiry    = "expiry"    // the access token is at its end
	CauseRejected  = "rejected"  // Salesforce refused the access token
	CauseHeartbeat = "heartbeat" // the refresh token has been idle for long
	CauseManual    = "manual"    // a person asked
)

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("invalid(%d)", v)
}

func parse[T ~uint8](names []string, what string, b []byte, v *T) error {
	for i, n := range names {
		if n == string(b) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("unknown %s %q: a newer sallyport wrote it", what, b)
}
