package tokens

import (
	"hash/fnv"
	"time"
)

// DoubtPolicy is when Salesforce is asked about a doubt (SALLYPORT_IN_DOUBT).
type DoubtPolicy uint8

// The policies.
const (
	AskLate DoubtPolicy = iota // when the access token is dead or nearly so
	AskSoon                    // as soon as the takeover wait is over
	AskHold                    // only when a person says so
	AskSend                    // as AskLate; after long silence the token is sent once more
)

// Policy is what an operator sets. Durations of zero take the contract's
// defaults in [NewBroker].
type Policy struct {
	ExchangeTimeout time.Duration // from the first byte written to the last byte of an answer
	TakeoverAfter   time.Duration // from when an attempt was first seen until it may be settled
	Doubt           DoubtPolicy
	DoubtPause      time.Duration // between the two introspections that settle a doubt
	SettlingTime    time.Duration // without an exchange after the store's identity changed
	MaxExchanges    int           // per grant and hour
	RefreshAhead    float64       // the fraction of an access token's life that is left when its end is looked at
	HeartbeatAfter  time.Duration
	TokenWait       time.Duration // the longest that a caller waits
}

func (p Policy) withDefaults() Policy {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&p.ExchangeTimeout, time.Minute)
	def(&p.TakeoverAfter, 5*time.Minute)
	def(&p.DoubtPause, 20*time.Second)
	def(&p.SettlingTime, p.TakeoverAfter+p.ExchangeTimeout)
	def(&p.HeartbeatAfter, 600*time.Hour)
	def(&p.TokenWait, 30*time.Second)
	if p.MaxExchanges == 0 {
		p.MaxExchanges = 60
	}
	if p.RefreshAhead == 0 {
		p.RefreshAhead = 0.2
	}
	return p
}

// idleLimit is Salesforce's limit for an unused refresh token, and idleReserve
// how long before it a doubt is asked about at the latest.
const (
	idleLimit   = 30 * 24 * time.Hour
	idleReserve = 2 * 24 * time.Hour
)

// silenceLimit is how long after the access token's end introspection may stay
// silent before a grant is given up.
const silenceLimit = time.Hour

// never is later than any time that is planned for.
var never = time.Unix(1<<40, 0)

// HeartbeatDue is when an idle grant is to be exchanged. The jitter, a pure
// function of the org, spreads grants that were authorised together over a
// tenth of the interval, and never beyond 28/25 of it.
func (p Policy) HeartbeatDue(r Record) time.Time {
	if !r.SingleUse || r.State != Ready || len(r.Refresh) == 0 {
		return never
	}
	return r.LastUsed().Add(p.HeartbeatAfter + time.Duration(float64(p.HeartbeatAfter)*0.1*jitter(r.Org)))
}

// AskAt is when Salesforce may be asked about the doubt that r is in. seen is
// when this replica first saw its attempt, end when the access token is
// believed to die (zero: none lives), life how long it lives in all.
func (p Policy) AskAt(r Record, seen, end time.Time, life time.Duration) time.Time {
	start := seen
	if r.Attempt != nil && r.Reason != ReasonMisconfigured {
		start = seen.Add(max(r.Attempt.Takeover, p.TakeoverAfter))
	}
	switch p.Doubt {
	case AskHold:
		return never
	case AskSoon:
		return start
	case AskLate, AskSend:
	}
	if end.IsZero() {
		return start
	}
	free := end.Add(-life / 10)
	return later(start, earlier(free, r.LastUsed().Add(idleLimit-idleReserve)))
}

// GiveUpAt is when a doubt about which Salesforce stays silent ends in
// reauth_required. end is the end of the access token, or when the doubt began
// where none lives.
func GiveUpAt(end time.Time) time.Time { return end.Add(silenceLimit) }

// counted says in which hour an exchange at now is counted, and as the how
// manieth of it.
func (r Record) counted(now time.Time) (time.Time, int) {
	if now.Sub(r.HourStart) >= time.Hour || now.Before(r.HourStart) {
		return now, 1
	}
	return r.HourStart, r.HourCount + 1
}

// jitter is a fixed number in [0, 1) for each org.
func jitter(org OrgID) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(org)) // never fails
	return float64(h.Sum32()) / (1 << 32)
}

// backoff is how long to wait after n failures in a row: 1 s doubling to 60 s,
// less up to a fifth of it by a jitter in [0, 1).
func backoff(n int, jitter float64) time.Duration {
	d := time.Minute
	if n < 7 {
		d = min(time.Second<<max(n-1, 0), time.Minute)
	}
	return d - time.Duration(float64(d)*0.2*jitter)
}
