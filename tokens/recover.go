package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Recover takes up what the last process left: answers in the journal are
// committed, intents that nobody settled become doubts, and every record is
// taken into memory. Call it once, before the first [Broker.Token]. It fails
// where the store or the journal can't be read, since guessing would risk a
// replay.
func (b *Broker) Recover(ctx context.Context) error {
	for r, err := range b.o.Store.All(ctx) {
		if err != nil {
			return fmt.Errorf("the store can't be read: %w", err)
		}
		b.remember(b.org(r.Org), r)
	}
	for e, err := range b.o.Journal.Entries() {
		if err != nil {
			return fmt.Errorf("the journal can't be read: %w", err)
		}
		if err := b.replay(ctx, e); err != nil {
			return fmt.Errorf("org %s: the journal's attempt %s can't be taken up: %w", e.Org, e.Attempt, err)
		}
	}
	return nil
}

// replay takes up one journal entry, by the same rules as a living exchange.
func (b *Broker) replay(ctx context.Context, e Entry) error {
	if e.Deployment != b.o.Deployment {
		return errors.New("it belongs to another deployment: this state directory is not this store's")
	}
	s := b.org(e.Org)
	switch {
	case len(e.Answer) > 0:
		return b.replayAnswer(ctx, s, e)
	case e.Kind == EntryEnrolment:
		if len(e.Record.Refresh) == 0 {
			return nil // a code that was sent, or wasn't: a person knows that it failed
		}
		_, err := b.tryCommit(ctx, s, Committed{Attempt: e.Attempt, Base: e.Base, Identity: e.Identity, Record: e.Record, Enrolment: true})
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
		set, _ := b.o.Directory.Settings(e.Org)
		c, err := b.enrolled(ctx, set, e, "", issue, at)
		if err != nil {
			return err
		}
		_, err = b.tryCommit(ctx, s, c)
		return err
	}
	if e.Record.Attempt == nil {
		return errors.New("its intent names no attempt")
	}
	n, err := b.answered(e.Record, *e.Record.Attempt, issue, at)
	if err != nil {
		return err
	}
	// Verified stays as the intent saw it: the store decides whether the record
	// still is.
	_, err = b.tryCommit(ctx, s, Committed{Attempt: e.Attempt, Base: e.Base, Identity: e.Identity, Record: n})
	return err
}

// replayRefusal finishes an attempt whose refusal was journalled and not yet
// written down.
func (b *Broker) replayRefusal(ctx context.Context, s *org, e Entry, ref *Refusal) error {
	return b.o.Store.Hold(ctx, e.Org, func(ctx context.Context, h Hold) error {
		r, _ := h.Record()
		if r.State != Exchanging || r.Attempt.ID != e.Attempt {
			b.settle(e.Org, e.Attempt, OutcomeUnknown)
			return nil
		}
		x := &exchange{b: b, s: s, f: &flight{}, start: time.Now()}
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
	return b.o.Store.Hold(ctx, e.Org, func(ctx context.Context, h Hold) error {
		r, _ := h.Record()
		x := &exchange{b: b, s: s, f: &flight{}, start: time.Now()}
		if healed, behind := Heal(r, e.Record, time.Now()); behind && e.Record.Place.Compare(r.Place) > 0 {
			b.log.ErrorContext(ctx, "the store lacks what the journal remembers: healed forward, unverified", "org", e.Org)
			healed.Attempt = e.Record.Attempt
			_, err := x.save(ctx, h, healed)
			return err
		}
		if e.Base.Compare(r.Place) < 0 || r.Ended(e.Attempt) {
			b.settle(e.Org, e.Attempt, OutcomeSuperseded)
			return nil
		}
		if r.State == InDoubt && r.Attempt != nil || r.State == ReauthRequired || r.State == Quarantined {
			return nil // a doubt already, or ended otherwise: the intent stays memory
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
