package tokens

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/secret"
)

// verdict is what asking about a refresh token came to. The zero verdict is
// silence.
type verdict uint8

const (
	silent verdict = iota
	alive
	spent
)

// outOfDoubt returns r where it is ready, or as it became by asking Salesforce.
// It fails with what callers are told where the grant may not be exchanged.
func (x *exchange) outOfDoubt(ctx context.Context, h Hold, r Record) (Record, error) {
	if r.State == Exchanging {
		// Somebody's attempt, and we hold the lock: its holder is gone.
		var err error
		x.s.mu.Lock()
		ours := x.s.unsent == r.Attempt.ID
		x.s.mu.Unlock()
		if ours {
			a := *r.Attempt
			if r, err = x.apply(ctx, h, r, Unsent{a.ID, OutcomeNotSent, time.Now()}); err == nil {
				x.b.settle(x.s.id, a.ID, OutcomeNotSent)
			}
			return r, err
		}
		x.line.Race = attr.RaceInDoubt
		r, err = x.apply(ctx, h, r, Doubted{*r.Attempt, OutcomeUnknown, ReasonNoAnswer, "the exchange's holder is gone", time.Now()})
		if err != nil {
			return r, err
		}
	}
	switch r.State {
	case Ready:
		return r, nil
	case InDoubt:
	case ReauthRequired:
		if r.Revoked() || len(r.Refresh) == 0 || r.Reason != ReasonUndecided && !(x.f.force && x.f.cause == causeSettle) {
			return r, x.b.unavailable(x.s, r)
		}
	default:
		return r, x.b.unavailable(x.s, r)
	}
	_, sight := h.Record()
	if err := x.settling(r, sight); err != nil {
		return r, err
	}
	x.s.mu.Lock()
	at := x.b.askAt(x.s)
	x.s.mu.Unlock()
	if !x.f.force && time.Now().Before(at) {
		return x.giveUp(ctx, h, r)
	}
	v := silent
	if _, err := x.credential(r); err == nil { // what doesn't open can't be asked about
		if v, err = x.ask(ctx, h, r, true); err != nil {
			return r, err
		}
	}
	if v == alive {
		if err := x.tooEarly(r); err != nil {
			return r, err
		}
	}
	x.told = true
	return x.judge(ctx, h, r, v)
}

// tooEarly is an error while the request of r's open attempt may still be under
// way: that its token is live then says nothing of a moment later. A spent one
// stays spent, so only "live" has to wait, whoever asks.
func (x *exchange) tooEarly(r Record) error {
	a := r.Attempt
	if a == nil || r.Reason == ReasonMisconfigured {
		return nil
	}
	x.s.mu.Lock()
	wait := time.Until(x.s.seenAt.Add(max(a.Takeover, x.b.p.TakeoverAfter)))
	x.s.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: wait,
		What: "Salesforce calls the token live, but the earlier request may still be under way", Hint: "ask again in " + wait.Round(time.Second).String()}
}

// verify asks about a ready record that was last verified under another
// identity of the store, or never. Right before an exchange is the only time
// when it matters.
func (x *exchange) verify(ctx context.Context, h Hold, r Record) (Record, error) {
	_, sight := h.Record()
	x.s.mu.Lock()
	distrust := x.s.distrust == r.Place && !r.Place.IsZero()
	stranger, at, journalled := !x.s.acquainted, x.b.askAt(x.s), x.s.journalled
	x.s.mu.Unlock()
	if r.Verified == sight.Identity && !distrust && !stranger {
		return r, nil
	}
	if err := x.settling(r, sight); err != nil {
		return r, err
	}
	other := replaced(r, sight)
	if other && stranger && !journalled && r.Vouched != sight.Identity {
		x.b.log.ErrorContext(ctx, "a grant is quarantined: neither this state directory nor a living replica has ever seen it; sallyport grant confirm says that no other copy is in use", "org", x.s.id)
		r, err := x.apply(ctx, h, r, Isolated{time.Now()})
		if err == nil {
			err = x.b.unavailable(x.s, r)
		}
		return r, err
	}
	// Where the store may have lost a successor, to ask about a token that may be
	// spent is put off, and done twice, as for a doubt.
	v := silent
	switch wait := time.Until(at); {
	case other && !x.f.force && x.b.p.Doubt == AskHold: // a person's to ask
	case other && !x.f.force && wait > 0:
		return r, &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: wait,
			What: "the store was replaced: Salesforce is asked whether this refresh token is still the newest when the access token is near its end",
			Hint: "sallyport grant settle " + string(x.s.id) + " asks at once"}
	default:
		var err error
		if v, err = x.ask(ctx, h, r, other || r.Attempt != nil); err != nil {
			return r, err
		}
	}
	x.told = true
	r, err := x.judge(ctx, h, r, v)
	if err == nil {
		x.s.mu.Lock()
		x.s.distrust = Place{}
		x.s.mu.Unlock()
	}
	return r, err
}

// ask introspects the refresh token of r, twice with a pause where twice says
// so, and reports what can be believed. An error means that asking was cut
// short.
func (x *exchange) ask(ctx context.Context, h Hold, r Record, twice bool) (verdict, error) {
	c, err := x.credential(r)
	if err != nil {
		return silent, err
	}
	if err := x.superseded(h, r); err != nil {
		return silent, err
	}
	first, ok := x.introspect(ctx, c.Secret, true)
	if !ok {
		return silent, nil
	}
	if twice {
		t := time.NewTimer(x.b.p.DoubtPause)
		select {
		case <-t.C:
		case <-x.b.drained:
			t.Stop()
			return silent, x.b.shuttingDown(x.s.id)
		case <-ctx.Done():
			t.Stop()
			return silent, ctx.Err()
		}
		if err := x.superseded(h, r); err != nil {
			return silent, err
		}
		second, ok := x.introspect(ctx, c.Secret, true)
		if !ok || second != first {
			return silent, nil
		}
	}
	if first {
		return alive, nil
	}
	// "active: false" says the same for denied. It is believed only where this
	// app was seen to be told the truth, and is now, of the living access token.
	if r.Truthful.IsZero() {
		return silent, nil
	}
	if l := x.s.live.Load(); l.alive(time.Now()) {
		if active, ok := x.introspect(ctx, l.token.Access, false); !ok || !active {
			return silent, nil
		}
	}
	return spent, nil
}

// superseded is an error where the lock was lost or something newer than r is
// known: its token may be spent by now, and to ask about that may be a replay.
func (x *exchange) superseded(h Hold, r Record) error {
	lost := false
	select {
	case <-h.Lost():
		lost = true
	default:
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if lost || x.s.memory.Compare(r) > 0 {
		return x.storeError(ErrFenced)
	}
	return nil
}

func (x *exchange) introspect(ctx context.Context, token secret.Text, refresh bool) (active, ok bool) {
	l, err := x.b.introspect(ctx, x.s.id, Subject{token, refresh})
	return l.Active, err == nil
}

func (b *Broker) introspect(ctx context.Context, id OrgID, s Subject) (Liveness, error) {
	kind := "access_token"
	if s.Refresh {
		kind = "refresh_token"
	}
	ctx, cancel := context.WithTimeout(ctx, b.p.ExchangeTimeout)
	defer cancel()
	ctx, span := b.tel.tracer.Start(ctx, attr.SpanIntrospect)
	span.SetAttributes(attr.Org.String(string(id)), attr.SubjectKind.String(kind))
	l, err := b.o.Exchanger.Introspect(ctx, id, s)
	span.SetAttributes(attr.Active.Bool(err == nil && l.Active))
	endSpan(span, err)
	if err != nil {
		b.log.WarnContext(ctx, "introspection gave no answer", "org", id, "subject", kind, "error", err)
	}
	return l, err
}

// judge writes a verdict down, under the very record and store identity that
// it was asked for: the hold's compare-and-set sees to both.
func (x *exchange) judge(ctx context.Context, h Hold, r Record, v verdict) (Record, error) {
	_, sight := h.Record()
	attempt := r.Attempt
	var err error
	switch v {
	case alive:
		x.line.Outcome, x.line.Detail = "live", "introspection says that the refresh token is live"
		r, err = x.apply(ctx, h, r, Found{Identity: sight.Identity, Truthful: true, At: time.Now()})
		x.settled(attempt, OutcomeNotSent, err)
		return r, err
	case spent:
		x.line.Outcome, x.line.Detail = "lost", "introspection says that the refresh token is spent, and its successor is nowhere"
		if r.State == ReauthRequired {
			return r, x.b.unavailable(x.s, r)
		}
		r, err = x.apply(ctx, h, r, Missed{At: time.Now(), Detail: x.line.Detail + x.liveUntil()})
		x.settled(attempt, OutcomeUnknown, err)
		if err == nil {
			x.b.log.ErrorContext(ctx, "a grant was lost: a person must authorise again", "org", x.s.id, "detail", r.Detail)
			err = x.b.unavailable(x.s, r)
		}
		return r, err
	case silent:
	}
	x.line.Outcome, x.line.Detail = "silent", "Salesforce gave no answer that can be believed"
	x.s.mu.Lock()
	x.s.silent++
	x.s.askNext = time.Now().Add(min(time.Minute<<min(x.s.silent-1, 6), time.Hour))
	x.s.mu.Unlock()
	if r.State == Ready {
		if r, err = x.apply(ctx, h, r, Silent{Detail: x.line.Detail, At: time.Now()}); err != nil {
			return r, err
		}
	}
	return x.giveUp(ctx, h, r)
}

func (x *exchange) settled(a *Attempt, o Outcome, err error) {
	if err == nil && a != nil {
		x.b.settle(x.s.id, a.ID, o)
	}
}

// liveUntil tells a person until when callers are still served.
func (x *exchange) liveUntil() string {
	if l := x.s.live.Load(); l.alive(time.Now()) {
		return fmt.Sprintf("; callers are served until about %s", time.Unix(0, l.end.Load()).UTC().Format(time.RFC3339))
	}
	return ""
}

// giveUp ends a doubt about which Salesforce has been silent for long, when no
// access token lives any more. Under AskSend the token is sent once more first.
func (x *exchange) giveUp(ctx context.Context, h Hold, r Record) (Record, error) {
	x.s.mu.Lock()
	at, asked := GiveUpAt(x.b.endOf(x.s)), x.s.silent > 0 || x.b.p.Doubt == AskHold
	x.s.mu.Unlock()
	if r.State != InDoubt || !asked || time.Now().Before(at) {
		return r, x.b.unavailable(x.s, r)
	}
	x.told = true
	if x.b.p.Doubt == AskSend && r.Resent != r.Fingerprint && len(r.Refresh) > 0 {
		_, sight := h.Record()
		x.b.log.WarnContext(ctx, "a doubtful token is sent once more, as SALLYPORT_IN_DOUBT=send orders", "org", x.s.id)
		return x.apply(ctx, h, r, SentOnce{sight.Identity, time.Now()})
	}
	x.line.Outcome = "undecided"
	r, err := x.apply(ctx, h, r, GaveUp{time.Now()})
	if err == nil {
		err = x.b.unavailable(x.s, r)
	}
	return r, err
}

// livesLonger asks Salesforce about the access token before a clock of ours
// begins an exchange, and reports whether its end is later than believed.
func (b *Broker) livesLonger(ctx context.Context, s *org) bool {
	l := s.live.Load()
	if l == nil || l.dead.Load() || !l.lease.Fixed.IsZero() {
		return false
	}
	live, err := b.introspect(ctx, s.id, Subject{Token: l.token.Access})
	l.silent.Store(err != nil)
	now := time.Now()
	if err != nil || !live.Active || live.ExpiresAt.IsZero() {
		return false
	}
	return b.correct(s, l, live.ExpiresAt, now)
}

// correct takes over the end that introspection told for l, and reports whether
// more than the fraction that asks for an exchange is left of its life.
func (b *Broker) correct(s *org, l *live, end, at time.Time) bool {
	if !end.After(time.Unix(0, l.end.Load())) {
		return false // never less than believed: clocks differ
	}
	s.mu.Lock() // Replace marks l dead under it
	defer s.mu.Unlock()
	n := l.copy()
	n.lease.Learned, n.lease.LearnedAt = end, at
	b.extend(n)
	return s.live.CompareAndSwap(l, n) && at.UnixNano() < n.look.Load()
}

// unavailable is what callers are told who need a token of a grant in r's
// state while none lives.
func (b *Broker) unavailable(s *org, r Record) error {
	e := &Error{Org: s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second}
	switch {
	case r.State == InDoubt && r.Reason == ReasonMisconfigured:
		e.Code, e.Temporary = CodeMisconfigured, false
		e.What, e.Hint = r.Detail, "once it is mended run sallyport grant settle "+string(s.id)
	case r.State == InDoubt:
		e.What = "the grant is in doubt (" + string(r.Reason) + "): its token may be spent, and is not sent again before Salesforce was asked"
		e.Hint = "sallyport grant settle " + string(s.id) + " asks at once; sallyport grant authorize " + string(s.id) + " ends the doubt"
		s.mu.Lock()
		e.RetryAfter = max(time.Until(b.askAt(s)), time.Second)
		s.mu.Unlock()
	case r.State == Quarantined:
		e.What, e.Temporary = "the grant is quarantined: the store came back from somewhere that nobody remembers", false
		e.Hint = "make sure that no other copy is in use, then run sallyport grant confirm " + string(s.id)
	case r.State == ReauthRequired:
		e.Code, e.Temporary, e.RetryAfter = CodeReauthRequired, false, 0
		e.What = "a person must authorise again (" + string(r.Reason) + ")"
		if r.Detail != "" {
			e.What += ": " + r.Detail
		}
		e.Hint = "run sallyport grant authorize " + string(s.id)
	default:
		e.What = "the grant is " + r.State.String()
	}
	return e
}
