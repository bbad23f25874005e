package tokens

import (
	"fmt"
	"time"
)

// Event is something that happens to a grant under a hold. Answers and
// enrolments are not events: they go over any record, see [Committed.Over].
type Event interface{ apply(Record) (Record, error) }

// TransitionError says that an event doesn't fit the state of a grant. Nothing
// was changed.
type TransitionError struct {
	Org   OrgID
	State State
	Event Event
}

// Error names the state and the event.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("org %s: %T doesn't apply to a grant that is %s", e.Org, e.Event, e.State)
}

// Apply returns the record after e, without touching r. It has no clock and
// does no I/O. It fails with a [*TransitionError] where e doesn't fit.
func (r Record) Apply(e Event) (Record, error) { return e.apply(r.clone()) }

func (r Record) to(s State, why Reason, detail string, at time.Time) Record {
	r.State, r.Reason, r.Detail, r.Since = s, why, detail, at
	return r
}

// Began is the intent: the record names an attempt before anything is sent.
// ready → exchanging.
type Began struct {
	Attempt   Attempt
	HourStart time.Time // of the hour in which it is counted
	HourCount int
}

func (e Began) apply(r Record) (Record, error) {
	if r.State != Ready || r.Verified == "" || r.Attempt != nil {
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.Attempt = &e.Attempt
	r.HourStart, r.HourCount = e.HourStart, e.HourCount
	return r.to(Exchanging, "", "", e.Attempt.Start), nil
}

// Unsent ends an attempt that left the token as it was: definitely nothing was
// sent, or Salesforce refused before it looked at the token. exchanging → ready.
type Unsent struct {
	Attempt AttemptID
	Outcome Outcome // OutcomeNotSent or OutcomeRateLimited
	At      time.Time
}

func (e Unsent) apply(r Record) (Record, error) {
	if r.State != Exchanging || r.Attempt.ID != e.Attempt || e.Outcome != OutcomeNotSent && e.Outcome != OutcomeRateLimited {
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.end(e.Attempt, e.Outcome)
	if e.Outcome == OutcomeNotSent {
		r.HourCount = max(r.HourCount-1, 0) // the cap is on what Salesforce sees
	}
	return r.to(Ready, "", "", e.At), nil
}

// Doubted says that the request may have reached Salesforce and that no answer
// settles it. The attempt stays open, and with it the wait before anyone asks.
// exchanging → in_doubt; ready → in_doubt where a journal knows an attempt that
// the record doesn't.
type Doubted struct {
	Attempt Attempt
	Outcome Outcome
	Reason  Reason
	Detail  string
	At      time.Time
}

func (e Doubted) apply(r Record) (Record, error) {
	switch {
	case r.State == Exchanging && r.Attempt.ID == e.Attempt.ID,
		r.State == Ready && !r.Ended(e.Attempt.ID),
		r.State == InDoubt && r.Attempt == nil && !r.Ended(e.Attempt.ID):
	default:
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.Attempt = &e.Attempt
	return r.to(InDoubt, e.Reason, e.Detail, e.At), nil
}

// Died says that Salesforce called the token dead. exchanging → reauth_required.
type Died struct {
	Attempt AttemptID
	Detail  string
	At      time.Time
}

func (e Died) apply(r Record) (Record, error) {
	if r.State != Exchanging || r.Attempt.ID != e.Attempt {
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.end(e.Attempt, OutcomeDead)
	return r.to(ReauthRequired, ReasonDead, e.Detail, e.At), nil
}

// Found says that introspection called the refresh token live, under the store
// identity Identity. A person's word may stand in for it. in_doubt, quarantined,
// reauth_required (but revoked), ready → ready and verified.
type Found struct {
	Identity StoreIdentity
	Truthful bool // Salesforce itself said so
	At       time.Time
}

func (e Found) apply(r Record) (Record, error) {
	if r.State == Exchanging || r.Revoked() || len(r.Refresh) == 0 || e.Identity == "" {
		return r, &TransitionError{r.Org, r.State, e}
	}
	if r.Attempt != nil {
		r.end(r.Attempt.ID, OutcomeNotSent)
	}
	r.Verified, r.Replayed = e.Identity, false
	if e.Truthful {
		r.Truthful = e.At
	}
	if r.State == Ready {
		return r, nil
	}
	return r.to(Ready, "", "", e.At), nil
}

// Missed says that the refresh token is believed spent and its successor gone.
// ready, in_doubt, quarantined → reauth_required (lost).
type Missed struct {
	Detail string
	At     time.Time
}

func (e Missed) apply(r Record) (Record, error) {
	if r.State != Ready && r.State != InDoubt && r.State != Quarantined {
		return r, &TransitionError{r.Org, r.State, e}
	}
	if r.Attempt != nil {
		r.end(r.Attempt.ID, OutcomeUnknown)
	}
	return r.to(ReauthRequired, ReasonLost, e.Detail, e.At), nil
}

// Silent says that verification was asked for and Salesforce gave no answer
// that can be believed. ready → in_doubt.
type Silent struct {
	Detail string
	At     time.Time
}

func (e Silent) apply(r Record) (Record, error) {
	if r.State != Ready {
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.Verified = ""
	return r.to(InDoubt, ReasonSilent, e.Detail, e.At), nil
}

// Isolated says that the record came back from somewhere that nobody here
// remembers. any but revoked → quarantined.
type Isolated struct{ At time.Time }

func (e Isolated) apply(r Record) (Record, error) {
	if r.Revoked() || r.State == Quarantined {
		return r, &TransitionError{r.Org, r.State, e}
	}
	r.Verified = ""
	return r.to(Quarantined, "", "its store is older or elsewhere than this state directory", e.At), nil
}

// GaveUp says that no access token lives and that introspection has been silent
// for long. The attempt stays open. in_doubt → reauth_required (undecided).
type GaveUp struct{ At time.Time }

func (e GaveUp) apply(r Record) (Record, error) {
	if r.State != InDoubt {
		return r, &TransitionError{r.Org, r.State, e}
	}
	return r.to(ReauthRequired, ReasonUndecided, r.Detail, e.At), nil
}

// SentOnce is a person's standing order to send a doubtful token once more
// (SALLYPORT_IN_DOUBT=send), after introspection was silent for long.
// in_doubt → ready.
type SentOnce struct {
	Identity StoreIdentity
	At       time.Time
}

func (e SentOnce) apply(r Record) (Record, error) {
	if r.State != InDoubt || len(r.Refresh) == 0 || e.Identity == "" || r.Resent == r.Fingerprint {
		return r, &TransitionError{r.Org, r.State, e}
	}
	if r.Attempt != nil {
		r.end(r.Attempt.ID, OutcomeUnknown)
	}
	r.Verified, r.Resent = e.Identity, r.Fingerprint
	return r.to(Ready, "", "", e.At), nil
}

// Ended is a person's end of a grant: revoked, or forgotten with all of its
// secrets. any → reauth_required (revoked), with a new epoch.
type Ended struct {
	Epoch  int64
	Forget bool
	At     time.Time
}

func (e Ended) apply(r Record) (Record, error) {
	if e.Epoch <= r.Epoch {
		return r, &TransitionError{r.Org, r.State, e}
	}
	if r.Attempt != nil {
		r.end(r.Attempt.ID, OutcomeUnknown)
	}
	r.remember(r.Fingerprint)
	r.Place = Place{Epoch: e.Epoch}
	r.Refresh, r.Fingerprint, r.Access, r.AccessPlace, r.Verified = nil, "", nil, Place{}, ""
	r.ExpiresAt, r.IssuedAt, r.AccessAt = time.Time{}, time.Time{}, time.Time{}
	if e.Forget {
		for _, o := range r.Orphans {
			r.remember(o.Fingerprint)
		}
		r.Orphans, r.Forgotten = nil, true
	}
	return r.to(ReauthRequired, ReasonRevoked, "", e.At), nil
}
