package tokens

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// errElsewhere says that a journal and a store don't belong together.
var errElsewhere = errors.New("the journal belongs to another deployment: this state directory is not this store's")

// Recover takes up what the last process left: answers in the journal are
// committed, intents that nobody settled become doubts, and every record is
// taken into memory. Call it once, before the first [Broker.Token]. What can't
// be read of one org, or of the journal, blocks exchanges, since guessing would
// risk a replay; living access tokens are served all the same. It fails only
// where journal and store don't belong together.
func (b *Broker) Recover(ctx context.Context) error {
	b.watch() // before anything is read, so that nothing falls between
	for r, err := range b.o.Store.All(ctx) {
		if err != nil {
			b.log.ErrorContext(ctx, "a record can't be read: its org isn't served", "error", err)
			continue
		}
		b.remember(b.org(r.Org), r)
	}
	known := map[OrgID]bool{}
	for e, err := range b.o.Journal.Entries() {
		if err != nil {
			b.log.ErrorContext(ctx, "the journal is damaged: no exchange begins until a person has looked; living access tokens are served", "error", err)
			b.blind.Store(true)
			continue
		}
		known[e.Org] = true
		if err := b.replay(ctx, e); errors.Is(err, errElsewhere) {
			return err
		} else if err != nil {
			b.log.ErrorContext(ctx, "a journalled attempt can't be taken up: no exchange of this org begins before it was", "org", e.Org, "attempt", e.Attempt, "error", err)
			b.takeUpLater(e.Org, err, func(ctx context.Context) error { return b.replay(ctx, e) })
		}
	}
	if err := b.replaySpool(ctx); err != nil {
		return err
	}
	orgs := *b.orgs.Load()
	for _, id := range slices.Sorted(maps.Keys(orgs)) {
		if err := b.finish(ctx, orgs[id], known[id]); err != nil {
			b.takeUpLater(id, err, func(ctx context.Context) error { return b.finish(ctx, orgs[id], known[id]) })
		}
	}
	b.started.Store(true)
	orgs = *b.orgs.Load()
	for _, id := range slices.Sorted(maps.Keys(orgs)) {
		s := orgs[id]
		s.mu.Lock()
		b.arm(s)
		s.mu.Unlock()
	}
	return nil
}

// replaySpool takes up answers that processes without a lasting disk left in
// the store.
func (b *Broker) replaySpool(ctx context.Context) error {
	if b.o.Spool == nil {
		return nil
	}
	for e, err := range b.o.Spool.Kept(ctx) {
		if err == nil && len(e.Answer) > 0 {
			err = b.replay(ctx, e)
		}
		switch {
		case errors.Is(err, errElsewhere):
			return err
		case err != nil:
			b.log.ErrorContext(ctx, "an answer that was left in the store can't be taken up", "org", e.Org, "attempt", e.Attempt, "error", err)
			continue
		}
		b.unspool(ctx, e.Org, e.Attempt)
	}
	return nil
}

// takeUpLater has no exchange of id begin until do, which failed with err, has
// succeeded.
func (b *Broker) takeUpLater(id OrgID, err error, do func(context.Context) error) {
	s := b.org(id)
	s.mu.Lock()
	s.blocked, s.blocks = err, s.blocks+1
	s.mu.Unlock()
	b.spawn(func() {
		for n := 1; ; n++ {
			t := time.NewTimer(backoff(n, b.jitter()))
			select {
			case <-t.C:
			case <-b.drained:
				t.Stop()
				return
			}
			ctx, cancel := context.WithTimeout(b.background(), b.p.TokenWait)
			err := do(ctx)
			cancel()
			if err == nil {
				break
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.blocks--; s.blocks == 0 {
			s.blocked = nil
		}
		b.arm(s)
	})
}

// finish completes a forget that was cut short, and quarantines a record that
// was verified in another life of the store and that this state directory's
// journal has never seen: a copy from elsewhere.
func (b *Broker) finish(ctx context.Context, s *org, journalled bool) error {
	s.mu.Lock()
	r := s.memory
	s.mu.Unlock()
	s.mu.Lock()
	s.journalled = journalled
	s.mu.Unlock()
	if r.Forgotten {
		return b.o.Journal.Forget(s.id)
	}
	if !r.SingleUse || len(r.Refresh) == 0 || journalled || b.blind.Load() || r.State == Quarantined || r.State == ReauthRequired {
		return nil
	}
	return b.o.Store.Hold(ctx, s.id, func(ctx context.Context, h Hold) error {
		r, sight := b.read(s, h)
		if r.Verified == sight.Identity || !sight.Exclusive {
			return nil // others may vouch for it
		}
		if b.newest(s, r).Place.Compare(r.Place) > 0 {
			return nil // the store went back meanwhile: the next hold heals it
		}
		b.log.ErrorContext(ctx, "a grant is quarantined: this state directory has never seen it; sallyport grant confirm says that no other copy is in use", "org", s.id)
		x := &exchange{b: b, s: s, f: &flight{}, start: time.Now()}
		_, err := x.apply(ctx, h, r, Isolated{time.Now()})
		return err
	})
}

// replay takes up one journal entry, by the same rules as a living exchange.
func (b *Broker) replay(ctx context.Context, e Entry) error {
	if e.Deployment != b.o.Deployment {
		return errElsewhere
	}
	s := b.org(e.Org)
	switch {
	case len(e.Answer) > 0:
		return b.replayAnswer(ctx, s, e)
	case e.Kind == EntryEnrolment:
		if len(e.Record.Refresh) == 0 {
			return nil // a code that was sent, or wasn't: a person knows that it failed
		}
		_, err := b.tryCommit(ctx, s, Committed{Attempt: e.Attempt, Base: e.Base, Identity: e.Identity, Record: e.Record, Enrolment: true}, true)
		return err
	case e.Settled:
		return nil
	}
	return b.replayIntent(ctx, s, e)
}

func (b *Broker) replayAnswer(ctx context.Context, s *org, e Entry) error {
	issue, err := b.o.Exchanger.Parse(e.Answer)
	var ref *Refusal
	switch {
	case errors.As(err, &ref):
		if e.Settled || e.Kind == EntryEnrolment {
			return nil
		}
		return b.replayRefusal(ctx, s, e, ref)
	case err != nil:
		return err
	}
	// An answer is not known to have arrived later than its intent began; the
	// earlier moment only makes its end be looked at sooner.
	at := e.Record.Since
	if e.Kind == EntryEnrolment {
		if issue.Refresh.IsZero() {
			return nil // refused when it came: a person knows that it failed
		}
		set, _ := b.o.Directory.Settings(e.Org)
		c, err := b.enrolled(ctx, set, e, "", issue, at)
		if err != nil {
			return err
		}
		_, err = b.tryCommit(ctx, s, c, true)
		return err
	}
	if e.Record.Attempt == nil {
		return errors.New("its intent names no attempt")
	}
	n, err := b.answered(e.Record, *e.Record.Attempt, issue, at)
	if err != nil {
		return err
	}
	if n.SingleUse && len(n.Refresh) == 0 {
		return nil // of a grant that was forgotten meanwhile: the journal holds nothing to exchange
	}
	// Verified stays as the intent saw it: the store decides whether the record
	// still is.
	_, err = b.tryCommit(ctx, s, Committed{Attempt: e.Attempt, Base: e.Base, Identity: e.Identity, Record: n}, true)
	return err
}

// replayRefusal finishes an attempt whose refusal was journalled and not yet
// written down.
func (b *Broker) replayRefusal(ctx context.Context, s *org, e Entry, ref *Refusal) error {
	return b.takeUp(ctx, s, func(ctx context.Context, x *exchange, h Hold, r Record) error {
		if r.State != Exchanging || r.Attempt.ID != e.Attempt {
			b.settle(e.Org, e.Attempt, OutcomeUnknown)
			return nil
		}
		err := x.refused(ctx, h, r, *r.Attempt, ref)
		if s.state() == Exchanging {
			return err
		}
		return nil // err is what callers are told
	})
}

// replayIntent makes an intent that nobody settled a doubt, unless the record
// has moved past its base or says how it ended.
func (b *Broker) replayIntent(ctx context.Context, s *org, e Entry) error {
	if len(e.Record.Refresh) == 0 {
		return nil // of a grant that was forgotten: there is nothing to heal with, and nothing to ask about
	}
	return b.takeUp(ctx, s, func(ctx context.Context, x *exchange, h Hold, r Record) error {
		if healed, behind := Heal(r, e.Record, time.Now()); behind && e.Record.Place.Compare(r.Place) > 0 {
			b.log.ErrorContext(ctx, "the store lacks what the journal remembers: healed forward, unverified", "org", e.Org)
			healed.Attempt = e.Record.Attempt
			b.reclaim(ctx, s, healed)
			_, err := x.save(ctx, h, healed)
			return err
		}
		if e.Base.Compare(r.Place) < 0 || r.Ended(e.Attempt) {
			b.settle(e.Org, e.Attempt, OutcomeSuperseded)
			return nil
		}
		if r.State == InDoubt && r.Attempt != nil || r.State == ReauthRequired || r.State == Quarantined {
			if r.Attempt == nil { // a doubt already, or ended otherwise: the intent stays memory
				s.mu.Lock()
				s.open = e.Record.Attempt
				s.mu.Unlock()
			}
			return nil
		}
		a := e.Record.Attempt
		if a == nil {
			return errors.New("its intent names no attempt")
		}
		if r.State == Exchanging && r.Attempt.ID != e.Attempt {
			a = r.Attempt
		}
		_, err := x.apply(ctx, h, r, Doubted{*a, OutcomeUnknown, ReasonNoAnswer, "the process that sent it is gone", time.Now()})
		return err
	})
}

// takeUp runs f under a hold of s, with the zero Record where the org is
// unknown. What this process has read since it began may be newer than what the
// store shows by now: that is healed first, or f could never write.
func (b *Broker) takeUp(ctx context.Context, s *org, f func(context.Context, *exchange, Hold, Record) error) error {
	return b.o.Store.Hold(ctx, s.id, func(ctx context.Context, h Hold) error {
		b.read(s, h)
		x := &exchange{b: b, s: s, f: &flight{}, start: time.Now()}
		r, err := x.align(ctx, h)
		if err != nil && !errors.Is(err, ErrUnknownOrg) {
			return err
		}
		return f(ctx, x, h, r)
	})
}
