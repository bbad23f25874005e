package tokens

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// watch takes into memory what other replicas write, until the broker was
// drained. A message that was lost costs time only: whoever waits polls behind
// it.
func (b *Broker) watch() {
	if b.o.Watcher == nil {
		return
	}
	if b.o.Asker != nil {
		b.watching.Go(func() { // ends with b.background
			if err := b.o.Asker.Asked(b.background(), b.wanted); err != nil && !errors.Is(err, context.Canceled) {
				b.log.Error("what other replicas ask for is no longer heard", "error", err)
			}
		})
	}
	b.watching.Go(func() { // ends with b.background
		if err := b.o.Watcher.Watch(b.background(), b.heard); err != nil && !errors.Is(err, context.Canceled) {
			b.log.Error("what other replicas write is no longer heard: callers wait for the poll behind it", "error", err)
		}
	})
}

// wanted makes an exchange for a replica that may not, if this one may.
func (b *Broker) wanted(w Want) {
	set, ok := b.o.Directory.Settings(w.Org)
	if !ok || set.Disabled || b.gate(w.Org) != nil {
		return
	}
	s := b.org(w.Org)
	if l := s.live.Load(); l.alive(time.Now()) && l.token.Place.Compare(w.Stale) > 0 {
		return // it will hear of it, or has
	}
	b.fly(s, wish{cause: w.Cause, stale: w.Stale}, trace.SpanContext{})
}

func (b *Broker) gate(id OrgID) error {
	if b.o.Gate == nil {
		return nil
	}
	return b.o.Gate(id)
}

// askFor is how long another replica is given to make an exchange that this one
// may not.
const askFor = 5 * time.Second

// byAnother waits for another replica to do what f was begun for, since cause
// forbids it here.
func (b *Broker) byAnother(ctx context.Context, s *org, f *flight, cause error) error {
	if b.o.Asker == nil {
		return cause
	}
	ctx, cancel := context.WithTimeout(ctx, min(askFor, b.p.TokenWait/2))
	defer cancel()
	done, start := make(chan struct{}), time.Now()
	s.mu.Lock()
	f.unlock = sync.OnceFunc(func() { close(done) })
	if f.cause == CauseManual {
		f.stale, f.handed = s.memory.Place, true
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.unlock = nil
	}()
	again := time.NewTicker(time.Second) // who was asked may just have been busy
	defer again.Stop()
	for {
		if err := b.o.Asker.Ask(ctx, Want{s.id, f.stale, f.cause}); err != nil {
			b.log.WarnContext(ctx, "no other replica could be asked for an exchange", "org", s.id, "error", err)
			return cause
		}
		select {
		case <-done:
			f.result = Exchange{Time: start, Org: s.id, Reason: f.cause, Replica: b.o.Replica, Outcome: OutcomeNotSent.String(), Duration: time.Since(start)}
			s.mu.Lock()
			f.result.lost(s.memory)
			s.mu.Unlock()
			return nil
		case <-again.C:
		case <-ctx.Done():
			return cause
		}
	}
}

// heard takes over a record as somebody wrote it, and lets go whoever waits for
// a lock only to find it done.
func (b *Broker) heard(r Record) {
	s := b.org(r.Org)
	s.mu.Lock()
	// What is no newer answer may be written over what a store of any age shows,
	// and one from a journal, this process's own among them, may be as old.
	s.acquainted = s.acquainted || !r.Replayed && s.memory.Known() && r.Place.Compare(s.memory.Place) > 0
	s.mu.Unlock()
	b.remember(s, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flight; f != nil && f.unlock != nil && b.overtaken(s, f, s.memory) {
		f.unlock()
	}
}

// acquaint says that this process saw the answer of r as it was issued, or has a
// word that its token is live.
func (b *Broker) acquaint(s *org, r Record) {
	s.mu.Lock()
	s.acquainted = true
	s.mu.Unlock()
	b.remember(s, r)
}

// overtaken reports whether r has what f was begun for. The caller holds s.mu.
func (b *Broker) overtaken(s *org, f *flight, r Record) bool {
	switch f.cause {
	case CauseHeartbeat:
		return r.State == Ready && time.Now().Before(b.p.HeartbeatDue(r))
	case CauseManual:
		return f.handed && r.State == Ready && r.Place.Compare(f.stale) > 0
	case causeSettle:
		return r.State == Ready && !f.force
	}
	l := s.live.Load()
	return l.alive(time.Now()) && l.token.Place.Compare(f.stale) > 0
}

// Realign shows the store all that this process remembers of orgs, of every org
// if none is named: where it has gone back it is healed, and under a new
// identity the settling time begins. Call it when the store was away, or may be
// another. It returns the orgs that are left to do, and why the first of them
// is: one whose record can't be read, or all that follow once the store itself
// seems to be away. To call it again for these is safe.
func (b *Broker) Realign(ctx context.Context, orgs ...OrgID) (left []OrgID, why error) {
	if len(orgs) == 0 {
		orgs = slices.Collect(maps.Keys(*b.orgs.Load()))
	}
	row := 0 // of failures, one after the other
	for i, id := range orgs {
		s := b.org(id)
		s.mu.Lock()
		known := s.memory.Known()
		s.mu.Unlock()
		if !known {
			continue
		}
		err := b.underHold(ctx, id, func(context.Context, *exchange, Hold, Record) error { return nil })
		if err == nil {
			row = 0
			continue
		}
		left = append(left, id)
		if why == nil {
			why = err
		}
		if row++; row == realignTries || ctx.Err() != nil {
			return append(slices.Clone(orgs[i+1:]), left...), why // so that the rest isn't kept from its turn
		}
	}
	return left, why
}

// realignTries is after how many orgs in a row that fail the store is taken to
// be away.
const realignTries = 5

// replaced reports whether the store's identity changed since r was verified,
// and others than this process may know what it lost.
func replaced(r Record, s Sight) bool {
	return !s.Exclusive && r.Verified != "" && r.Verified != s.Identity
}

// settling is an error while the store's identity is so new that whoever
// remembers more than it shows may not have spoken yet. No command skips it.
func (x *exchange) settling(r Record, sight Sight) error {
	if r.Verified == sight.Identity {
		return nil
	}
	return x.b.settlesIn(x.s.id, sight)
}

// settlesIn is an error while a store that was replaced settles.
func (b *Broker) settlesIn(id OrgID, sight Sight) error {
	left := b.p.SettlingTime - sight.Stamped
	if sight.Exclusive || left <= 0 {
		return nil
	}
	return &Error{Org: id, Code: CodeUnavailable, Temporary: true, RetryAfter: left,
		What: "the store was replaced or restarted a moment ago", Hint: "exchanges begin again once everybody who remembers more has spoken (SALLYPORT_SETTLING_TIME)"}
}
