package tokens

import "time"

// defaultSession is Salesforce's default session timeout. It is believed where
// nobody told better, and Salesforce is asked before anything is done about it.
const defaultSession = 2 * time.Hour

// Lease is what is known of an access token's life. An opaque token lives by an
// inactivity clock, which each call that it serves may reset; a JWT token has a
// fixed end (salesforce.md section 4).
type Lease struct {
	Obtained  time.Time     // when the token arrived
	Used      time.Time     // the last call that Salesforce accepted, zero if none
	Session   time.Duration // the org's session timeout, zero if unknown
	Fixed     time.Time     // a JWT's exp, zero for an opaque token
	Learned   time.Time     // exp as introspection said last, zero if it didn't
	LearnedAt time.Time     // when it said so
}

// End is when the token is believed to die.
func (l Lease) End() time.Time {
	if !l.Fixed.IsZero() {
		return l.Fixed
	}
	s := l.session()
	if l.Learned.IsZero() {
		return later(l.Obtained, l.Used).Add(s)
	}
	if l.Used.After(l.LearnedAt) {
		return later(l.Learned, l.Used.Add(s))
	}
	return l.Learned
}

// Life is how long the token lives from its last sign of life to its end.
func (l Lease) Life() time.Duration {
	if !l.Fixed.IsZero() {
		return max(l.Fixed.Sub(l.Obtained), 0)
	}
	return l.session()
}

// LookAt is when the token's end is looked at: when the fraction ahead of its
// life is left, moved earlier by up to a tenth of that by jitter in [0, 1), so
// that thousands of orgs don't look in the same moment.
func (l Lease) LookAt(ahead, jitter float64) time.Time {
	return l.End().Add(-time.Duration(float64(l.Life()) * ahead * (1 + jitter/10)))
}

func (l Lease) session() time.Duration {
	if l.Session > 0 {
		return l.Session
	}
	return defaultSession
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
