package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/attr"
)

// errTooLate is what the send guard says.
var errTooLate = errors.New("too much time passed since the intent was begun: nothing was sent")

// errDraining is what the send guard says while the process shuts down.
var errDraining = errors.New("the process is shutting down: nothing was sent")

// errLockLost is what the send guard says when the lock is gone.
var errLockLost = errors.New("the lock was lost: nothing was sent")

// trade exchanges the credential of r: connect, journal the intent, save it,
// send once, journal the answer, commit (rotation.md, "The exchange", 3 to 10).
// A credential that isn't single-use needs no intent and no journal.
func (x *exchange) trade(ctx context.Context, h Hold, r Record) error {
	now := time.Now()
	hour, n, err := x.budget(r, now)
	if err != nil {
		return err
	}
	if x.b.draining.Load() {
		return x.b.shuttingDown(x.s.id)
	}
	cred, err := x.credential(r)
	if err != nil {
		return err
	}
	var line Line
	err = x.b.tel.inSpan(ctx, attr.SpanConnect, func(ctx context.Context) error {
		line, err = x.b.o.Exchanger.Connect(ctx, x.s.id)
		return err
	})
	if err != nil {
		return x.unsent(fmt.Errorf("no connection to the token endpoint: %w", err), 0)
	}
	defer line.Close()

	_, sight := h.Record()
	a := Attempt{ID: x.b.newAttemptID(), Replica: x.b.o.Replica, Base: r.Place, Start: now, Limit: x.b.p.ExchangeTimeout,
		Takeover: x.b.p.TakeoverAfter, Cause: x.f.cause, Trace: traceparent(*x.f.span.Load()), Address: line.Address()}
	x.line.Attempt, x.line.Address, x.told = a.ID, a.Address, true
	intent := r.clone()
	intent.HourStart, intent.HourCount = hour, n
	began := time.Now()
	if r.SingleUse {
		if intent, err = r.Apply(Began{a, hour, n}); err != nil {
			return err
		}
		if intent, began, err = x.intend(ctx, h, intent, sight); err != nil {
			return err
		}
	}
	answer, sent, err := x.send(ctx, h, line, cred, began)
	if !sent {
		return x.takeBack(ctx, h, intent, a, OutcomeNotSent, err, 0)
	}
	if len(answer) > 0 && r.SingleUse {
		jerr := x.b.tel.inSpan(ctx, attr.SpanJournal, func(context.Context) error { return x.b.o.Journal.Answer(a.ID, answer) })
		if jerr != nil {
			x.b.log.ErrorContext(ctx, "the journal refused an answer: it is committed to the store at once", "org", x.s.id, "error", jerr)
		}
	}
	x.line.Answer = AnswerRefusal
	if len(answer) == 0 {
		x.line.Answer = AnswerNone
		return x.noAnswer(ctx, h, intent, a, err)
	}
	x.b.spool(ctx, intent, a, sight, answer)
	issue, perr := x.b.o.Exchanger.Parse(answer)
	if perr != nil {
		return x.refused(ctx, h, intent, a, perr)
	}
	return x.issued(ctx, intent, a, sight, issue)
}

// intend makes the intent durable, in the journal and then in the store, before
// anything may be sent. It returns the record as saved and when saving began.
func (x *exchange) intend(ctx context.Context, h Hold, intent Record, sight Sight) (Record, time.Time, error) {
	a := *intent.Attempt
	e := Entry{Attempt: a.ID, Org: x.s.id, Replica: x.b.o.Replica, Deployment: x.b.o.Deployment, Kind: EntryIntent,
		Base: a.Base, Identity: sight.Identity, Record: intent}
	err := x.b.tel.inSpan(ctx, attr.SpanJournal, func(context.Context) error { return x.b.o.Journal.Begin(e) })
	if err != nil {
		return intent, time.Time{}, x.unsent(fmt.Errorf("the journal refused the intent: %w", err), 0)
	}
	began := time.Now()
	saved, err := x.save(ctx, h, intent)
	switch {
	case err == nil:
		return saved, began, nil
	case errors.Is(err, ErrUnknown):
		// It may have landed. Nothing was sent: take it back.
		return intent, began, x.takeBack(ctx, h, intent, a, OutcomeNotSent, err, 0)
	}
	x.b.settle(x.s.id, a.ID, OutcomeNotSent)
	x.line.Outcome = OutcomeNotSent.String()
	return intent, began, err
}

func (x *exchange) send(ctx context.Context, h Hold, line Line, c Credential, began time.Time) (a Answer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.b.p.ExchangeTimeout)
	defer cancel()
	guard := func() error {
		select {
		case <-h.Lost():
			return errLockLost
		default:
		}
		switch {
		case x.b.draining.Load():
			return errDraining
		case elapsed(began) >= x.b.p.ExchangeTimeout/2:
			return errTooLate
		}
		return nil
	}
	err = x.b.tel.inSpan(ctx, attr.SpanToken, func(ctx context.Context) error {
		first := time.Now()
		a, sent, err = line.Send(ctx, c, guard)
		if sent {
			x.line.AnswerTime = time.Since(first)
		} else if errors.Is(err, errTooLate) || errors.Is(err, errLockLost) {
			x.b.tel.nearMiss(ctx, x.s.id, attr.NearMissGuard)
		}
		return err
	}, attr.EgressAddress.String(line.Address()))
	return a, sent, err
}

// elapsed is the time since t by the larger of wall and monotonic clock: the
// monotonic one stands still while a machine is suspended.
func elapsed(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// unsent reports an attempt of which no byte left, and backs off.
func (x *exchange) unsent(cause error, retryAfter time.Duration) *Error {
	x.told = true
	x.line.Outcome, x.line.Detail = OutcomeNotSent.String(), cause.Error()
	x.s.mu.Lock()
	x.s.failing = cause.Error()
	x.s.mu.Unlock()
	e := &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: x.failed(retryAfter),
		What: "no exchange was made: " + cause.Error(), Hint: "it is tried again by itself", Err: cause}
	var in *Error
	if errors.As(cause, &in) {
		e.What, e.Hint = "no exchange was made: "+in.What, in.Hint
		if in.Code == CodeEgressUnverified || in.Code == CodeMisconfigured {
			e.Code = in.Code
		}
	}
	return e
}

// takeBack writes ready back over an intent whose request left the token as it
// was.
func (x *exchange) takeBack(ctx context.Context, h Hold, r Record, a Attempt, o Outcome, cause error, retryAfter time.Duration) error {
	e := x.unsent(cause, retryAfter)
	x.line.Outcome = o.String()
	if o == OutcomeNotSent {
		x.s.mu.Lock()
		x.s.unsent = a.ID
		x.s.mu.Unlock()
	}
	if r.SingleUse {
		if _, err := x.apply(ctx, h, r, Unsent{a.ID, o, time.Now()}); err != nil {
			return err // the intent stands, as a doubt that introspection settles
		}
		x.b.settle(x.s.id, a.ID, o)
	}
	if errors.Is(cause, errDraining) {
		return x.b.shuttingDown(x.s.id)
	}
	return e
}

// noAnswer writes down that the request may have reached Salesforce and that
// nothing came back.
func (x *exchange) noAnswer(ctx context.Context, h Hold, r Record, a Attempt, cause error) error {
	x.line.Detail = "the connection ended without an answer: " + errorType(cause)
	if !r.SingleUse {
		return x.takeBack(ctx, h, r, a, OutcomeUnknown, errors.New(x.line.Detail), 0)
	}
	return x.doubt(ctx, h, r, a, OutcomeUnknown, ReasonNoAnswer, x.line.Detail)
}

func (x *exchange) doubt(ctx context.Context, h Hold, r Record, a Attempt, o Outcome, why Reason, detail string) error {
	x.line.Outcome, x.line.Race, x.line.Detail = o.String(), attr.RaceInDoubt, detail
	if why == ReasonMisconfigured {
		again := time.Now().Add(x.failed(0))
		x.s.mu.Lock()
		x.s.askNext = again
		x.s.mu.Unlock()
	}
	n, err := x.apply(ctx, h, r, Doubted{a, o, why, detail, time.Now()})
	if err != nil {
		return err // the intent stands, which is a doubt as well
	}
	x.b.log.ErrorContext(ctx, "a grant is in doubt: nothing is sent again until introspection or a person says so", "org", x.s.id, "reason", why, "detail", detail)
	return x.b.unavailable(x.s, n)
}

// refused does what a refusal asks for (rotation.md, "What an answer means").
func (x *exchange) refused(ctx context.Context, h Hold, r Record, a Attempt, perr error) error {
	var ref *Refusal
	if !errors.As(perr, &ref) {
		ref = &Refusal{}
	}
	detail := perr.Error()
	x.line.Detail = detail
	if !r.SingleUse {
		wait := x.failed(ref.RetryAfter)
		x.line.Outcome = OutcomeMisconfigured.String()
		if ref.Class == ClassDoubt || ref.Class == ClassRateLimited {
			x.line.Outcome = OutcomeUnknown.String()
			return &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: wait, What: detail, Hint: "it is tried again by itself"}
		}
		return &Error{Org: x.s.id, Code: CodeMisconfigured, RetryAfter: wait, What: detail, Hint: mend(ref)}
	}
	switch ref.Class {
	case ClassRateLimited:
		return x.takeBack(ctx, h, r, a, OutcomeRateLimited, perr, ref.RetryAfter)
	case ClassBusy:
		x.b.log.ErrorContext(ctx, "alarm: Salesforce is already working on this token, and it is nobody of ours: someone else holds it", "org", x.s.id)
		return x.doubt(ctx, h, r, a, OutcomeBusy, ReasonBusy, detail)
	case ClassMisconfigured:
		return x.doubt(ctx, h, r, a, OutcomeMisconfigured, ReasonMisconfigured, detail+"; "+mend(ref))
	case ClassDead:
		return x.dead(ctx, h, r, a, detail)
	case ClassDoubt:
	}
	return x.doubt(ctx, h, r, a, OutcomeUnknown, ReasonUnclear, detail)
}

// dead believes that the token is dead only after the store was read again: a
// strictly newer record there says that this was a replay.
func (x *exchange) dead(ctx context.Context, h Hold, r Record, a Attempt, detail string) error {
	x.line.Outcome = OutcomeDead.String()
	if now, err := x.b.o.Store.Load(ctx, x.s.id); err == nil && now.Place.Compare(r.Place) > 0 {
		x.line.Race = attr.RaceLost
		x.b.log.ErrorContext(ctx, "alarm: a token was sent that another exchange had already spent", "org", x.s.id, "sent", r.Place, "store", now.Place)
		x.s.mu.Lock()
		x.s.distrust = now.Place
		x.s.mu.Unlock()
		x.b.remember(x.s, now)
		x.b.settle(x.s.id, a.ID, OutcomeDead)
		return nil
	}
	n, err := x.apply(ctx, h, r, Died{a.ID, detail, time.Now()})
	if err != nil {
		return err
	}
	x.b.settle(x.s.id, a.ID, OutcomeDead)
	return x.b.unavailable(x.s, n)
}

// narrowMargin is the part of an attempt's time under which a commit that
// succeeded is told as a near miss.
const narrowMargin = 0.3

// issued commits an answer and serves its token.
func (x *exchange) issued(ctx context.Context, intent Record, a Attempt, sight Sight, i Issue) error {
	n, err := x.b.answered(intent, a, i, time.Now())
	if err != nil {
		return &Error{Org: x.s.id, Code: CodeUnavailable, What: "the answer couldn't be sealed", Hint: "it is in the journal: mend the keyset and restart", Err: err}
	}
	if n.SingleUse {
		n.Verified = sight.Identity
	}
	landing := x.b.commit(ctx, x.s, Committed{Attempt: a.ID, Base: a.Base, Identity: sight.Identity, Record: n})
	if l := x.s.live.Load(); l.alive(time.Now()) && l.token.Place.Compare(a.Base) > 0 {
		x.succeeded()
	} else {
		x.failed(0) // nothing that can be served came of it
	}
	x.line.Generation, x.line.Outcome, x.line.Race = n.Generation, OutcomeIssued.String(), attr.RaceWon
	if x.f.waiters.Load() <= 1 {
		x.line.Race = attr.RaceNone
	}
	x.line.Answer = AnswerToken
	x.line.Margin = max(0, 1-float64(elapsed(a.Start))/float64(a.Limit))
	if x.line.Margin < narrowMargin {
		x.b.tel.nearMiss(ctx, x.s.id, attr.NearMissMargin)
	}
	if landing == LandedOrphaned || landing == LandedContested {
		x.line.Outcome, x.line.Race = OutcomeOrphaned.String(), attr.RaceLost
	}
	return nil
}

// mend says what to change at Salesforce or in the resources file.
func mend(r *Refusal) string {
	switch {
	case r.Code == "invalid_client_id":
		return "mend the app's clientId"
	case r.Code == "invalid_client" || r.Code == "invalid_client_credentials":
		return "mend the app's clientSecret"
	case r.Description == "ip restricted":
		return "register this egress address in the app's refresh token IP allowlist"
	}
	return "mend the app's settings in Setup"
}
