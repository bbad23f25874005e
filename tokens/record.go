package tokens

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Schema is the version of [Record]. A store refuses to write over a record of
// a newer one ([ErrSchema]).
const Schema = 1

// keptAttempts is how many ended attempts a record names. An intent in a
// journal that none of them names is a doubt.
const keptAttempts = 8

// keptFingerprints bounds [Record.Earlier]. The store's claims know every
// fingerprint; these travel with the record, so that a replica whose store was
// emptied knows the likeliest ones.
const keptFingerprints = 64

// Record is all that is kept of an org's grant. Secrets in it are sealed; the
// rest may be shown.
type Record struct {
	Schema    int    `json:"schema"`
	Org       OrgID  `json:"org"`
	Kind      string `json:"kind"`
	SingleUse bool   `json:"single_use"`

	Place
	Revision int64  `json:"revision"` // raised by each write
	Fence    uint64 `json:"fence"`

	State  State     `json:"state"`
	Reason Reason    `json:"reason,omitempty"`
	Detail string    `json:"detail,omitempty"` // what Salesforce said, without secrets
	Since  time.Time `json:"since"`

	Attempt  *Attempt      `json:"attempt,omitempty"` // open: exchanging or in doubt
	Attempts []PastAttempt `json:"attempts,omitempty"`

	Refresh     []byte   `json:"refresh,omitempty"` // sealed
	Fingerprint string   `json:"fingerprint,omitempty"`
	Earlier     []string `json:"earlier,omitempty"`
	Rotation    Rotation `json:"rotation,omitempty"`
	Resent      string   `json:"resent,omitempty"` // fingerprint of the token that a standing order sent once more

	Access      []byte    `json:"access,omitempty"`       // sealed
	AccessPlace Place     `json:"access_place,omitempty"` // of the answer that brought it; older than Place after an enrolment without one
	InstanceURL string    `json:"instance_url,omitempty"`
	IssuedAt    time.Time `json:"issued_at,omitempty"`
	AccessAt    time.Time `json:"access_at,omitempty"`  // when it arrived, by the clock of who got it
	ExpiresAt   time.Time `json:"expires_at,omitempty"` // the fixed end of a JWT; zero for an opaque token
	Address     string    `json:"address,omitempty"`    // that minted it

	SalesforceOrg  string `json:"salesforce_org,omitempty"`
	SalesforceUser string `json:"salesforce_user,omitempty"`

	// Vouched is the store's identity under which a process that remembered the
	// record as it is said so. A record under another, that nobody vouches for,
	// may be a copy from elsewhere.
	Vouched StoreIdentity `json:"vouched,omitempty"`

	EnrolledAt   time.Time `json:"enrolled_at,omitempty"`
	LastExchange time.Time `json:"last_exchange,omitempty"` // zero: none since the enrolment
	HourStart    time.Time `json:"hour_start,omitempty"`    // of the hour that HourCount counts
	HourCount    int       `json:"hour_count,omitempty"`

	Verified StoreIdentity `json:"verified,omitempty"` // empty: unverified
	Truthful time.Time     `json:"truthful,omitempty"` // when introspection last said true of a fresh refresh token

	Orphans []Orphan `json:"orphans,omitempty"`

	// Replayed says that the answer of Place was found in a journal. Such an answer
	// may be of any age: who hears of it hasn't seen it as it was issued.
	Replayed bool `json:"replayed,omitempty"`

	// Forgotten says that this is a tombstone: no secret of the grant may come
	// back into it.
	Forgotten bool `json:"forgotten,omitempty"`
}

// Attempt is one attempt to exchange. Its times are durations where machines
// compare them: no wall clock is compared between machines.
type Attempt struct {
	ID       AttemptID     `json:"id"`
	Replica  string        `json:"replica"`
	Base     Place         `json:"base"`
	Start    time.Time     `json:"start"` // by the holder's clock, to be shown
	Limit    time.Duration `json:"limit"` // how long it may last
	Takeover time.Duration `json:"takeover"`
	Cause    string        `json:"cause"`
	Trace    string        `json:"trace,omitempty"` // traceparent
	Address  string        `json:"address,omitempty"`
}

// PastAttempt is an attempt that ended.
type PastAttempt struct {
	ID      AttemptID `json:"id"`
	Outcome Outcome   `json:"outcome"`
	Replica string    `json:"replica,omitempty"`
	Trace   string    `json:"trace,omitempty"` // traceparent
}

// Orphan is a token of an older epoch. No machine revokes it, since that could
// reach the live grant: it ends by Salesforce's idle limit, or by a person.
type Orphan struct {
	Place
	Refresh     []byte    `json:"refresh"` // sealed
	Fingerprint string    `json:"fingerprint"`
	Since       time.Time `json:"since"`
}

// Compare orders records of one org by (epoch, generation, revision).
func (r Record) Compare(o Record) int {
	return cmp.Or(r.Place.Compare(o.Place), cmp.Compare(r.Revision, o.Revision))
}

// Known reports whether r is a record at all: the zero Record stands for an
// org that the store doesn't know.
func (r Record) Known() bool { return r.Schema != 0 }

// Revoked reports whether a person ended the grant. Nothing but a new
// authorisation leaves that state.
func (r Record) Revoked() bool { return r.State == ReauthRequired && r.Reason == ReasonRevoked }

// Ended reports whether r says how the attempt id ended.
func (r Record) Ended(id AttemptID) bool {
	return slices.ContainsFunc(r.Attempts, func(p PastAttempt) bool { return p.ID == id })
}

// Knows reports whether r holds or has held the refresh token with this
// fingerprint, as its own or as an orphan.
func (r Record) Knows(fingerprint string) bool {
	return fingerprint != "" && (r.Fingerprint == fingerprint || slices.Contains(r.Earlier, fingerprint) ||
		slices.ContainsFunc(r.Orphans, func(o Orphan) bool { return o.Fingerprint == fingerprint }))
}

// LastUsed is when the refresh token's idle clock was last reset, as far as we
// know: its last exchange, else its enrolment.
func (r Record) LastUsed() time.Time {
	if r.LastExchange.After(r.EnrolledAt) {
		return r.LastExchange
	}
	return r.EnrolledAt
}

// SameAccess reports whether r and o hold the same sealed access token.
func (r Record) SameAccess(o Record) bool {
	return r.AccessPlace == o.AccessPlace && bytes.Equal(r.Access, o.Access)
}

func (r Record) clone() Record {
	r.Attempts = slices.Clone(r.Attempts)
	r.Earlier = slices.Clone(r.Earlier)
	r.Orphans = slices.Clone(r.Orphans)
	if r.Attempt != nil {
		a := *r.Attempt
		r.Attempt = &a
	}
	return r
}

// end moves the open attempt, if it is id, to the past ones.
func (r *Record) end(id AttemptID, o Outcome) {
	past := PastAttempt{ID: id, Outcome: o}
	if r.Attempt != nil && r.Attempt.ID == id {
		past.Replica, past.Trace = r.Attempt.Replica, r.Attempt.Trace
		r.Attempt = nil
	}
	if i := slices.IndexFunc(r.Attempts, func(p PastAttempt) bool { return p.ID == id }); i >= 0 {
		r.Attempts[i].Outcome = o
		return
	}
	r.Attempts = append(r.Attempts, past)
	if n := len(r.Attempts); n > keptAttempts {
		r.Attempts = slices.Clone(r.Attempts[n-keptAttempts:])
	}
}

func (r *Record) remember(fingerprint string) {
	if fingerprint == "" || slices.Contains(r.Earlier, fingerprint) {
		return
	}
	r.Earlier = append(r.Earlier, fingerprint)
	if n := len(r.Earlier); n > keptFingerprints {
		r.Earlier = slices.Clone(r.Earlier[n-keptFingerprints:])
	}
}

// orphan keeps o beside the grant unless r knows its token as its own.
func (r *Record) orphan(o Orphan) {
	if o.Fingerprint == "" || o.Fingerprint == r.Fingerprint ||
		slices.ContainsFunc(r.Orphans, func(p Orphan) bool { return p.Fingerprint == o.Fingerprint }) {
		return
	}
	r.Orphans = append(r.Orphans, o)
}
