package tokens

import (
	"slices"
	"time"
)

// Landing says where an answer came to rest.
type Landing uint8

// Where an answer came to rest.
const (
	LandedNowhere   Landing = iota // the store holds something newer of the same epoch
	LandedReady                    // on its own base: the grant is ready
	LandedHealed                   // over something older: unverified and in doubt
	LandedOrphaned                 // beside a newer epoch
	LandedAlready                  // our own commit, repeated
	LandedContested                // the place is taken by another token: ours is an orphan
	LandedForgotten                // the grant was forgotten: only the fingerprint is kept
)

// Committed is an answer to be written down.
type Committed struct {
	Attempt AttemptID
	// Base is the place of the record that the intent was written into.
	Base Place
	// Identity is the store's, as the intent saw it.
	Identity StoreIdentity
	// Record is the whole record as it is to be on its own base. Its Verified
	// is empty where the answer itself proves nothing (an import).
	Record Record
	// Enrolment says that a person brought it: it needs no base.
	Enrolment bool
}

// Over decides what becomes of r, the zero Record where the store has none, and
// whether it must be written. It is pure; the store calls it inside the step
// that writes. An answer goes over every record with a smaller (epoch,
// generation) and no newer epoch, whatever its state, attempt or fence, since
// it is the only copy.
func (c Committed) Over(r Record, s Sight) (Record, Landing) {
	n := c.Record.clone()
	switch {
	case r.Known() && r.Epoch > n.Epoch:
		return c.beside(r, LandedOrphaned)
	case r.Known() && r.Place == n.Place && r.SingleUse && r.Fingerprint != n.Fingerprint:
		return c.beside(r, LandedContested)
	case r.Known() && r.Place == n.Place:
		return r, LandedAlready
	case c.Enrolment && slices.Contains(r.Earlier, n.Fingerprint): // an answer came first, and rotated it out
		return r, LandedNowhere
	case r.Known() && r.Place.Compare(n.Place) > 0:
		return r, LandedNowhere
	}
	n.Revision = max(r.Revision, n.Revision) + 1
	n.Fence = max(r.Fence, n.Fence)
	n.Forgotten = false
	for _, f := range r.Earlier {
		n.remember(f)
	}
	for _, o := range r.Orphans {
		n.orphan(o)
	}
	if n.Fingerprint != r.Fingerprint {
		n.remember(r.Fingerprint)
	}
	if c.Enrolment {
		if r.Epoch < n.Epoch && len(r.Refresh) > 0 && !r.Revoked() {
			n.orphan(Orphan{r.Place, r.Refresh, r.Fingerprint, n.Since})
		}
		if len(n.Access) == 0 && !r.Revoked() {
			n.keepAccess(r)
		}
		return n, LandedReady
	}
	if !n.SingleUse || r.Place == c.Base && r.Verified == c.Identity && r.Verified != "" {
		return n, LandedReady
	}
	n.State, n.Reason, n.Verified, n.Attempt = InDoubt, ReasonHealed, "", nil
	return n, LandedHealed
}

// beside keeps c's token as an orphan of r.
func (c Committed) beside(r Record, l Landing) (Record, Landing) {
	if r.Knows(c.Record.Fingerprint) || c.Record.Fingerprint == "" || len(c.Record.Refresh) == 0 {
		return r, LandedAlready
	}
	r = r.clone()
	r.Revision++
	if r.Forgotten {
		r.remember(c.Record.Fingerprint)
		return r, LandedForgotten
	}
	r.orphan(Orphan{c.Record.Place, c.Record.Refresh, c.Record.Fingerprint, c.Record.Since})
	r.keepNewerAccess(c.Record)
	r.end(c.Attempt, OutcomeOrphaned)
	return r, l
}

// keepAccess lets r go on serving o's access token.
func (r *Record) keepAccess(o Record) {
	r.Access, r.AccessPlace, r.InstanceURL = o.Access, o.AccessPlace, o.InstanceURL
	r.IssuedAt, r.AccessAt, r.ExpiresAt, r.Address = o.IssuedAt, o.AccessAt, o.ExpiresAt, o.Address
}

// keepNewerAccess lets r serve o's access token where r's authorisation hasn't
// brought one of its own yet.
func (r *Record) keepNewerAccess(o Record) {
	if !r.Revoked() && r.AccessPlace.Epoch < r.Epoch && o.AccessPlace.Compare(r.AccessPlace) > 0 {
		r.keepAccess(o)
	}
}

// Heal is memory written forward over what a store shows after it went back: m
// whole, unverified and above the revision of both, in doubt but where its state
// stays true whatever was lost. It returns r where m is not newer, or must not be
// touched.
func Heal(r, m Record, now time.Time) (Record, bool) {
	if m.Compare(r) <= 0 {
		return r, false
	}
	n := m.clone()
	n.Revision = max(r.Revision, m.Revision) + 1
	n.Fence = max(r.Fence, m.Fence)
	n.Verified = ""
	n.keepNewerAccess(r)
	for _, o := range r.Orphans {
		n.orphan(o)
	}
	// What Salesforce has said of the token stays true, whatever a store lost.
	spoken := n.State == ReauthRequired && (n.Reason == ReasonDead || n.Reason == ReasonLost)
	if n.SingleUse && n.State != Quarantined && !n.Revoked() && !spoken {
		n.State, n.Reason, n.Since = InDoubt, ReasonHealed, now
	}
	return n, true
}
