package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/secret"
)

// exchange is one flight's work on a grant, from the lock to the commit.
type exchange struct {
	b     *Broker
	s     *org
	f     *flight
	set   Settings
	start time.Time
	line  Exchange // what the history will say
	told  bool     // whether there is anything to say
}

// pursue does what f was begun for, as one trace of its own.
func (b *Broker) pursue(ctx context.Context, s *org, f *flight) error {
	set, ok := b.o.Directory.Settings(s.id)
	if !ok || set.Disabled {
		return &Error{Org: s.id, Code: CodeOrgNotAllowed, What: "the org is not registered or is disabled", Hint: "see sallyport get orgs"}
	}
	s.mu.Lock()
	wait, pending, last, refusal, blocked := time.Until(s.notYet), s.pending != nil, s.last, s.refusal, s.blocked
	if s.memory.State != Ready {
		wait = 0 // its doubt has a patience of its own
	}
	if time.Since(s.refusedAt) > time.Second {
		refusal = nil
	}
	s.mu.Unlock()
	if refusal != nil && !f.force && f.cause != causeSettle {
		return refusal // a dead grant costs a look at the store a second, not one a caller
	}
	if f.cause == CauseExpiry && (wait <= 0 || pending) && b.livesLonger(ctx, s) {
		return nil
	}
	if b.blind.Load() {
		blocked = ErrDegraded
	}
	if blocked != nil {
		return &Error{Org: s.id, Code: CodeUnavailable, What: "no exchange begins: what the last process left can't be read", Hint: "see the log and sallyport doctor; restart once it is mended", Err: blocked}
	}
	if pending {
		return &Error{Org: s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second,
			What: "the store hasn't taken the last answer yet", Hint: "it is safe in the journal; mend the store"}
	}
	if wait > 0 && !f.force && f.cause != causeSettle {
		return &Error{Org: s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: wait,
			What: "the last exchange failed and the next one is due later", Hint: "see sallyport exchanges for why"}
	}
	if err := b.gate(s.id); err != nil && f.cause != causeSettle {
		return b.byAnother(ctx, s, f, err)
	}
	x := &exchange{b: b, s: s, f: f, set: set, start: time.Now()}
	x.line = Exchange{Time: x.start, Org: s.id, Reason: f.cause, Replica: b.o.Replica, Race: attr.RaceNone, Outcome: OutcomeNotSent.String()}
	name := attr.SpanExchange
	if f.cause == causeSettle {
		name = "token.settle"
	}
	ctx, span := b.tel.tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(links(f.origin, last)...),
		trace.WithAttributes(attr.Org.String(string(s.id)), attr.Replica.String(b.o.Replica), attr.ExchangeReason.String(f.cause)))
	sc := span.SpanContext()
	f.span.Store(&sc)
	if f.origin.HasTraceID() {
		x.line.Origin = f.origin.TraceID().String()
	}
	if sc.HasTraceID() {
		x.line.Trace = sc.TraceID().String()
	}
	held, err := x.hold(ctx)
	x.line.Duration = time.Since(x.start)
	x.finish(ctx, span, err)
	var e *Error
	if errors.As(err, &e) && !x.told && held && (e.Code == CodeReauthRequired || e.RetryAfter > time.Second) {
		s.mu.Lock()
		s.refusal, s.refusedAt = e, time.Now()
		s.mu.Unlock()
	}
	return err
}

// hold runs x under the org's lock, unless it hears before that another replica
// did what it was for.
func (x *exchange) hold(ctx context.Context) (held bool, err error) {
	_, span := x.b.tel.tracer.Start(ctx, attr.SpanLock, trace.WithAttributes(attr.Org.String(string(x.s.id))))
	waiting, unlock := context.WithTimeout(ctx, x.b.p.TokenWait*9/10) // so that who waits for it hears why
	defer unlock()
	heardToo := func(f context.CancelFunc) {
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		x.f.unlock = f
	}
	heardToo(unlock)
	err = x.b.o.Store.Hold(waiting, x.s.id, func(_ context.Context, h Hold) error {
		heardToo(nil)
		held, x.line.LockWait = true, time.Since(x.start)
		span.SetAttributes(attr.Fence.Int64(int64(h.Fence())))
		endSpan(span, nil)
		return x.underHold(ctx, h)
	})
	if held {
		return true, err
	}
	heardToo(nil)
	x.line.LockWait = time.Since(x.start)
	x.s.mu.Lock()
	m := x.s.memory
	x.s.mu.Unlock()
	if x.movedOn(m) {
		endSpan(span, nil)
		return false, nil
	}
	endSpan(span, err)
	return false, &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second,
		What: "the store or the org's lock wasn't to be had", Hint: "see sallyport doctor", Err: err}
}

func (x *exchange) finish(ctx context.Context, span trace.Span, err error) {
	x.f.result = x.line
	span.SetAttributes(attr.Epoch.Int64(x.line.Epoch), attr.Generation.Int64(x.line.Generation),
		attr.Attempt.String(string(x.line.Attempt)), attr.ExchangeResult.String(x.line.Outcome),
		attr.Race.String(x.line.Race), attr.LeaseMargin.Float64(x.line.Margin))
	if x.f.winner.IsValid() {
		span.SetAttributes(attr.RaceWinner.String(x.line.Winner))
		span.AddLink(trace.Link{SpanContext: x.f.winner})
	}
	endSpan(span, err)
	x.line.Waiters = int(x.f.waiters.Load())
	switch {
	case x.told:
		x.s.mu.Lock()
		x.s.last = span.SpanContext()
		x.s.mu.Unlock()
		x.b.tel.exchanged(ctx, x.line)
	case x.line.Race == attr.RaceLost:
		x.line.Outcome = "adopted"
		x.b.tel.raced(ctx, x.line)
	default:
		return
	}
	if herr := x.b.o.History.Append(ctx, x.line); herr != nil {
		x.b.log.WarnContext(ctx, "the history of exchanges couldn't be written", "org", x.s.id, "error", herr)
	}
	x.b.log.InfoContext(ctx, "exchange", "org", x.s.id, "reason", x.line.Reason, "outcome", x.line.Outcome, "race", x.line.Race,
		"generation", x.line.Generation, "attempt", x.line.Attempt, "waiters", x.line.Waiters, "duration", x.line.Duration, "detail", x.line.Detail)
}

func links(scs ...trace.SpanContext) []trace.Link {
	var l []trace.Link
	for _, sc := range scs {
		if sc.IsValid() {
			l = append(l, trace.Link{SpanContext: sc})
		}
	}
	return l
}

// underHold goes on only with a record that is the one wanted: aligned with
// memory, not already moved on, out of doubt, and verified.
func (x *exchange) underHold(ctx context.Context, h Hold) error {
	r, err := x.align(ctx, h)
	if err != nil {
		return err
	}
	x.line.Epoch, x.line.Generation = r.Epoch, r.Generation
	if x.movedOn(r) || x.extended() {
		return nil
	}
	if !r.SingleUse {
		if x.f.cause == causeSettle || x.f.cause == CauseHeartbeat {
			return nil
		}
		if r, err = x.begunAnew(ctx, h, r); err != nil {
			return err
		}
		return x.trade(ctx, h, r)
	}
	if r, err = x.outOfDoubt(ctx, h, r); err != nil {
		return err
	}
	if r, err = x.verify(ctx, h, r); err != nil {
		return err
	}
	if x.f.cause == causeSettle {
		return nil
	}
	return x.trade(ctx, h, r)
}

// begunAnew is r where its grant may be used; a revoked one only where a person
// asks for an exchange, who thereby begins it anew.
func (x *exchange) begunAnew(ctx context.Context, h Hold, r Record) (Record, error) {
	if !r.Revoked() {
		return r, nil
	}
	if x.f.cause != CauseManual {
		return r, &Error{Org: x.s.id, Code: CodeReauthRequired, What: "the grant was revoked", Hint: "sallyport grant refresh " + string(x.s.id) + " begins it anew"}
	}
	n := x.b.newRecord(x.s, r, x.set)
	n.Generation, n.Revision, n.Earlier, n.Orphans = 0, r.Revision, r.Earlier, r.Orphans
	return x.save(ctx, h, n)
}

// align heals a store that shows less than memory knows, and takes what the
// store knows better into memory.
func (x *exchange) align(ctx context.Context, h Hold) (Record, error) {
	r, _ := h.Record()
	x.s.mu.Lock()
	m := x.s.memory
	x.s.mu.Unlock()
	healed, regressed := Heal(r, m, time.Now())
	if regressed {
		x.b.log.ErrorContext(ctx, "the store went back behind what this replica remembers: healed forward, unverified", "org", x.s.id,
			"store", r.Place, "memory", m.Place)
		x.b.reclaim(ctx, x.s, healed)
		return x.save(ctx, h, healed)
	}
	if !r.Known() {
		return r, &Error{Org: x.s.id, Code: CodeReauthRequired, What: "no authorisation is kept for this org",
			Hint: "run sallyport grant authorize " + string(x.s.id) + ", or sallyport grant import", Err: ErrUnknownOrg}
	}
	x.s.mu.Lock()
	vouch := x.s.acquainted && r.Compare(m) == 0
	x.s.mu.Unlock()
	x.b.remember(x.s, r)
	if _, sight := h.Record(); vouch && replaced(r, sight) && r.Vouched != sight.Identity {
		n := r.clone()
		n.Vouched = sight.Identity
		return x.save(ctx, h, n)
	}
	// The store went back, was written anew, and forgot an attempt.
	switch a := x.forgotten(r); {
	case a == nil:
	case r.State == Ready || r.State == InDoubt:
		return x.apply(ctx, h, r, Doubted{*a, OutcomeUnknown, ReasonNoAnswer, "the store had lost the attempt", time.Now()})
	case r.Reason == ReasonUndecided: // Whoever asks, or takes a person's word, is to know of it.
		r = r.clone()
		r.Attempt = a
	}
	return r, nil
}

// forgotten is the attempt that this process, or its journal, knows to be open
// and r doesn't name; nil if there is none.
func (x *exchange) forgotten(r Record) *Attempt {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	a := x.s.open
	if a == nil || a.ID == x.s.unsent || a.Base != r.Place || r.Ended(a.ID) || r.Attempt != nil {
		return nil
	}
	return a
}

// extended reports whether the end that x was begun for was put off meanwhile,
// by a call that Salesforce accepted.
func (x *exchange) extended() bool {
	l := x.s.live.Load()
	now := time.Now()
	return x.f.cause == CauseExpiry && l.alive(now) && l.token.Place == x.f.stale && now.UnixNano() < l.look.Load()
}

// movedOn reports whether another exchange has already done what this one was
// wanted for.
func (x *exchange) movedOn(r Record) bool {
	x.s.mu.Lock()
	over := x.b.overtaken(x.s, x.f, r)
	x.s.mu.Unlock()
	if !over || x.f.cause == causeSettle {
		return over
	}
	x.f.winner = x.line.lost(r)
	return true
}

// lost names the exchange of another replica, by which r came to be, as the one
// that made e needless, and returns its trace.
func (e *Exchange) lost(r Record) (winner trace.SpanContext) {
	e.Race, e.Epoch, e.Generation = attr.RaceLost, r.Epoch, r.Generation
	if n := len(r.Attempts); n > 0 {
		won := r.Attempts[n-1]
		e.Attempt, e.Winner, winner = won.ID, won.Replica, parseTraceparent(won.Trace)
	}
	return winner
}

// save writes r under h and remembers it.
func (x *exchange) save(ctx context.Context, h Hold, r Record) (Record, error) {
	x.s.mu.Lock()
	behind := x.s.memory.Place.Compare(r.Place) > 0
	x.s.mu.Unlock()
	if behind { // something newer was heard since the hold began, which the store has lost
		return r, x.storeError(ErrFenced)
	}
	err := x.b.tel.inSpan(ctx, attr.SpanCommit, func(ctx context.Context) error { return h.Save(ctx, r) }, attr.GrantState.String(r.State.String()))
	if errors.Is(err, ErrShort) {
		n, _ := h.Record()
		x.b.remember(x.s, n)
	}
	if err != nil {
		return r, x.storeError(err)
	}
	r, _ = h.Record()
	x.b.remember(x.s, r)
	return r, nil
}

func (x *exchange) apply(ctx context.Context, h Hold, r Record, e Event) (Record, error) {
	n, err := r.Apply(e)
	if err != nil {
		return r, err
	}
	n, err = x.save(ctx, h, n)
	if _, live := e.(Found); live && err == nil {
		x.b.acquaint(x.s, n)
	}
	return n, err
}

func (x *exchange) storeError(err error) error {
	e := &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second,
		What: "the store refused a write or is away", Hint: "see sallyport doctor", Err: err}
	switch {
	case errors.Is(err, ErrFenced):
		x.line.Race = attr.RaceFenced
		e.What, e.Hint = "another process changed the grant meanwhile", "call again"
	case errors.Is(err, ErrSchema):
		e.Temporary, e.RetryAfter, e.What, e.Hint = false, 0, ErrSchema.Error(), ""
	}
	return e
}

// budget refuses an exchange beyond the cap, for which only a person's command
// is an exception.
func (x *exchange) budget(r Record, now time.Time) (time.Time, int, error) {
	start, n := r.counted(now)
	if n <= x.b.p.MaxExchanges || x.f.force {
		return start, n, nil
	}
	return start, n, &Error{Org: x.s.id, Code: CodeUnavailable, Temporary: true, RetryAfter: start.Add(time.Hour).Sub(now),
		What: fmt.Sprintf("this grant was exchanged %d times within an hour, which is the cap (SALLYPORT_MAX_EXCHANGES)", n-1),
		Hint: "find out why its sessions die; sallyport grant refresh makes one more"}
}

// credential opens the refresh token of the record that was read under the
// hold: never one of a cache.
func (x *exchange) credential(r Record) (Credential, error) {
	c := Credential{Kind: r.Kind, SingleUse: r.SingleUse}
	if !r.SingleUse {
		return c, nil
	}
	plain, err := x.b.o.Sealer.Open(r.Refresh, string(x.s.id), FieldRefresh)
	if err != nil {
		return c, &Error{Org: x.s.id, Code: CodeUnavailable, What: "the refresh token doesn't open",
			Hint: "the keyset lacks the key that sealed it: see sallyport keyset list", Err: err}
	}
	c.Secret = secret.NewText(string(plain))
	return c, nil
}

// failed notes an exchange that came to nothing and when the next may begin.
func (x *exchange) failed(retryAfter time.Duration) time.Duration {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.failures++
	wait := max(backoff(x.s.failures, x.b.jitter()), min(retryAfter, 10*time.Minute))
	x.s.notYet = later(x.s.notYet, time.Now().Add(wait))
	return wait
}

func (x *exchange) succeeded() {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.failures, x.s.failing = 0, ""
	if x.s.early <= 1 {
		x.s.notYet = time.Time{}
	}
}
