package tokens

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
)

// wish is what a flight is for.
type wish struct {
	cause string
	stale Place // a token of a newer place is wanted; zero for any live token
	force bool  // a person asked: back-off, cap and patience are skipped
}

// flight is one piece of work on an org that callers wait for together. Its
// context is its own: a caller that goes away doesn't cancel it.
type flight struct {
	wish
	origin  trace.SpanContext // who caused it
	span    atomic.Pointer[trace.SpanContext]
	waiters atomic.Int32
	unlock  context.CancelFunc // guarded by org.mu: ends the wait for the lock, or for another replica; nil when nothing waits
	handed  bool               // guarded by org.mu: a person's wish, and another replica is to do it
	done    chan struct{}      // closed when the rest is set
	err     error
	result  Exchange          // of the exchange that it made, if any
	winner  trace.SpanContext // of another replica's exchange that made this one needless
}

// causeSettle is a flight that settles a doubt and exchanges nothing.
const causeSettle = "settle"

// await waits until org has a live token above stale. An empty cause lets what
// is known decide.
func (b *Broker) await(ctx context.Context, s *org, stale Place, cause string) (Token, error) {
	start := time.Now()
	ctx, span := b.tel.tracer.Start(ctx, attr.SpanWait, trace.WithAttributes(attr.Org.String(string(s.id))))
	s.waiting.Add(1)
	t, f, err := b.waitFor(ctx, s, stale, cause)
	s.waiting.Add(-1)
	race := attr.RaceNone
	if f != nil {
		if sc := f.span.Load(); sc != nil {
			span.AddLink(trace.Link{SpanContext: *sc})
		}
		select {
		case <-f.done: // else the caller went away first, and the rest isn't set
			race = cmp.Or(f.result.Race, attr.RaceNone)
			if f.winner.IsValid() {
				span.AddLink(trace.Link{SpanContext: f.winner})
			}
		default:
		}
	}
	span.SetAttributes(attr.Race.String(race))
	endSpan(span, err)
	b.tel.waited(ctx, s.id, time.Since(start), err)
	return t, err
}

func (b *Broker) waitFor(ctx context.Context, s *org, stale Place, cause string) (Token, *flight, error) {
	limit := time.NewTimer(b.p.TokenWait)
	defer limit.Stop()
	deadline := time.Now().Add(b.p.TokenWait)
	var f *flight
	for {
		if l := s.live.Load(); l.alive(time.Now()) && l.token.Place.Compare(stale) > 0 {
			l.handed.Store(true)
			return l.token, f, nil
		}
		f, _ = b.fly(s, wish{cause: cause, stale: stale}, trace.SpanContextFromContext(ctx))
		if f == nil {
			return Token{}, nil, b.shuttingDown(s.id)
		}
		f.waiters.Add(1)
		select {
		case <-f.done:
		case <-ctx.Done():
			return Token{}, f, ctx.Err()
		case <-limit.C:
			return Token{}, f, &Error{Org: s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second,
				What: "no access token came in " + b.p.TokenWait.String(), Hint: "call again; sallyport grant show says what it waits for"}
		}
		if f.err == nil {
			continue
		}
		if l := s.live.Load(); l.alive(time.Now()) && l.token.Place.Compare(stale) > 0 {
			l.handed.Store(true)
			return l.token, f, nil // it was found to live on, although no exchange could be made
		}
		e := asError(s.id, f.err)
		if l := s.live.Load(); e.Temporary && stale.IsZero() && l.mayLive() {
			return l.token, f, nil
		}
		if !e.Temporary || e.RetryAfter <= 0 || time.Now().Add(e.RetryAfter).After(deadline) {
			return Token{}, f, e
		}
		pause := time.NewTimer(e.RetryAfter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return Token{}, f, ctx.Err()
		}
	}
}

// mayLive reports whether only a clock of ours says that l is dead, and Salesforce
// was silent when it was asked. That is better than nothing: a call tells.
func (l *live) mayLive() bool {
	return l != nil && !l.dead.Load() && l.silent.Load() && l.lease.Fixed.IsZero()
}

// fly joins the flight of s that is under way, whatever it is for, or begins
// one for w and reports that it did. It returns nil when the broker was closed.
func (b *Broker) fly(s *org, w wish, origin trace.SpanContext) (f *flight, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight, false
	}
	f = &flight{wish: w, origin: origin, done: make(chan struct{})}
	if f.cause == "" {
		f.cause, f.stale = causeOf(s.live.Load())
	}
	if !b.spawn(func() { b.run(s, f) }) {
		return nil, false
	}
	s.flight = f
	return f, true
}

// causeOf says why a token is wanted where l is what there is.
func causeOf(l *live) (string, Place) {
	switch {
	case l == nil:
		return CauseFirst, Place{}
	case l.dead.Load():
		return CauseRejected, l.token.Place
	}
	return CauseExpiry, l.token.Place
}

func (b *Broker) run(s *org, f *flight) {
	f.err = b.pursue(b.background(), s, f)
	s.mu.Lock()
	s.flight, s.rest = nil, time.Now().Add(100*time.Millisecond)
	if f.err != nil {
		s.tries++
		s.rest = time.Now().Add(max(backoff(s.tries, b.jitter()), time.Second, min(asError(s.id, f.err).RetryAfter, time.Hour)+time.Millisecond)) // callers who wait go first
	} else {
		s.tries = 0
	}
	b.arm(s)
	s.mu.Unlock()
	close(f.done)
	if f.err != nil && f.waiters.Load() == 0 {
		b.log.Warn("background work on a grant failed", "org", s.id, "cause", f.cause, "error", f.err)
	}
}

// lookAhead begins the look at l's end in the background, and returns the
// flight that is under way, nil where it is too early for another.
func (b *Broker) lookAhead(s *org, l *live) *flight {
	s.mu.Lock()
	now := time.Now()
	f, wait := s.flight, now.Before(s.notYet) || now.Before(s.rest) || s.memory.State != Ready
	s.mu.Unlock()
	if f == nil && !wait {
		f, _ = b.fly(s, wish{cause: CauseExpiry, stale: l.token.Place}, trace.SpanContext{})
	}
	return f
}

// Lasting is [Broker.Token] for a request that can't be sent twice, since its
// body isn't kept: where the token is believed to live for less than a minute,
// its end is looked at first. That doesn't fail where Token wouldn't.
func (b *Broker) Lasting(ctx context.Context, id OrgID) (Token, error) {
	t, err := b.Token(ctx, id)
	if err != nil {
		return t, err
	}
	s := b.org(id)
	l := s.live.Load()
	if l == nil || time.Until(time.Unix(0, l.end.Load())) >= min(time.Minute, time.Duration(float64(l.lease.Life())*b.p.RefreshAhead)) {
		return t, nil
	}
	f := b.lookAhead(s, l)
	if f == nil {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.p.TokenWait)
	defer cancel()
	f.waiters.Add(1)
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	if n := s.live.Load(); n.alive(time.Now()) {
		n.handed.Store(true)
		return n.token, nil
	}
	return t, nil
}

// arm sets the timer of s to the next moment at which something is to be done
// without a caller. The caller holds s.mu.
func (b *Broker) arm(s *org) {
	if !b.started.Load() || b.draining.Load() || s.flight != nil {
		return
	}
	at := later(b.nextWake(s), s.rest)
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(at), func() { b.wake(s) })
		return
	}
	s.timer.Reset(max(time.Until(at), 0))
}

// nextWake is the next moment at which s wants attention. The caller holds s.mu.
func (b *Broker) nextWake(s *org) time.Time {
	r, l := s.memory, s.live.Load()
	if !r.Known() || s.pending != nil {
		return never
	}
	switch r.State {
	case Ready:
		at := b.p.HeartbeatDue(r)
		if s.beating {
			at = never
		}
		if l != nil && l.handed.Load() && !l.dead.Load() {
			at = earlier(at, time.Unix(0, l.look.Load()))
		}
		return later(at, s.notYet)
	case Exchanging:
		if r.Attempt.Replica == b.o.Replica {
			return s.seenAt // of a process before this one: written in doubt at once
		}
		return s.seenAt.Add(r.Attempt.Limit)
	case InDoubt:
		if s.silent == 0 && b.p.Doubt != AskHold {
			return b.askAt(s)
		}
		return earlier(b.askAt(s), GiveUpAt(b.endOf(s)))
	case ReauthRequired:
		if r.Reason == ReasonUndecided && b.p.Doubt != AskHold {
			return b.askAt(s)
		}
	case Quarantined: // waits for a person
	}
	return never
}

// wake does what the moment asks for, in the background.
func (b *Broker) wake(s *org) {
	now := time.Now()
	s.mu.Lock()
	if s.flight != nil || b.draining.Load() {
		s.mu.Unlock()
		return // the flight arms the next one
	}
	if now.Before(later(b.nextWake(s), s.rest)) {
		b.arm(s)
		s.mu.Unlock()
		return
	}
	r, l := s.memory, s.live.Load()
	s.mu.Unlock()
	set, ok := b.o.Directory.Settings(s.id)
	switch {
	case !ok || set.Disabled:
		s.mu.Lock()
		s.rest = now.Add(time.Hour) // or until Reconfigure
		b.arm(s)
		s.mu.Unlock()
	case r.State == Ready && !now.Before(b.p.HeartbeatDue(r)):
		b.beat(s, r)
	case r.State == Ready && l != nil:
		b.fly(s, wish{cause: CauseExpiry, stale: l.token.Place}, trace.SpanContext{})
	default:
		b.fly(s, wish{cause: causeSettle}, trace.SpanContext{})
	}
}

// askAt is when the doubt of s is asked about next. The caller holds s.mu.
func (b *Broker) askAt(s *org) time.Time {
	end, life := time.Time{}, time.Duration(0)
	if l := s.live.Load(); l.alive(time.Now()) {
		end, life = time.Unix(0, l.end.Load()), l.lease.Life()
	}
	return later(b.p.AskAt(s.memory, s.seenAt, end, life), s.askNext)
}

// endOf is when the access token of s died or will, and where there is none
// when its doubt began. The caller holds s.mu.
func (b *Broker) endOf(s *org) time.Time {
	if l := s.live.Load(); l != nil {
		if l.dead.Load() {
			return s.memory.Since
		}
		return later(time.Unix(0, l.end.Load()), s.memory.Since)
	}
	return s.memory.Since
}
