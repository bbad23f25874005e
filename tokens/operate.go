package tokens

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Refresh exchanges org's grant now, without regard to back-off and cap, and
// returns the exchange. In doubt it asks Salesforce first. It fails with
// [CodeConflict] where the grant's state doesn't allow it.
func (b *Broker) Refresh(ctx context.Context, id OrgID) (Exchange, error) {
	return b.command(ctx, id, wish{cause: CauseManual, force: true})
}

// Settle asks Salesforce about org's doubt now.
func (b *Broker) Settle(ctx context.Context, id OrgID) error {
	_, err := b.command(ctx, id, wish{cause: causeSettle, force: true})
	return err
}

// command runs a flight of its own for w, after whatever is under way.
func (b *Broker) command(ctx context.Context, id OrgID, w wish) (Exchange, error) {
	if _, ok := b.o.Directory.Settings(id); !ok {
		return Exchange{}, &Error{Org: id, Code: CodeOrgNotAllowed, What: "there is no such org", Hint: "sallyport get orgs lists them"}
	}
	s := b.org(id)
	for {
		f, mine := b.fly(s, w, trace.SpanContextFromContext(ctx))
		if f == nil {
			return Exchange{}, b.shuttingDown(id)
		}
		f.waiters.Add(1)
		select {
		case <-f.done:
		case <-ctx.Done():
			return Exchange{}, ctx.Err()
		}
		if !mine {
			continue
		}
		var e *Error
		if errors.As(f.err, &e) && (e.Code == CodeReauthRequired || e.Code == CodeUnavailable && s.state() != Ready) {
			return f.result, &Error{Org: id, Code: CodeConflict, What: e.What, Hint: e.Hint, Err: e}
		}
		return f.result, f.err
	}
}

func (s *org) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory.State
}

// Confirm says that a quarantined or unverified grant is the truth. Salesforce
// is asked first; where it stays silent the person's word counts if unverified
// is set, and is recorded.
func (b *Broker) Confirm(ctx context.Context, id OrgID, unverified bool) error {
	return b.underHold(ctx, id, func(ctx context.Context, x *exchange, h Hold, r Record) error {
		_, sight := h.Record()
		if r.State == Exchanging || r.Revoked() || !r.SingleUse || len(r.Refresh) == 0 {
			return &Error{Org: id, Code: CodeConflict, What: "a grant that is " + r.State.String() + " can't be confirmed", Hint: "see sallyport grant show " + string(id)}
		}
		if err := x.settling(r, sight); err != nil {
			return err
		}
		v, err := x.ask(ctx, h, r, r.Attempt != nil)
		if err != nil {
			return err
		}
		sent := r.Attempt != nil || b.sent(r)
		switch {
		case v == alive:
			if err := x.tooEarly(r); err != nil {
				return err
			}
			_, err = x.judge(ctx, h, r, v)
			return err
		case v == spent:
			if _, err = x.judge(ctx, h, r, v); err != nil {
				return &Error{Org: id, Code: CodeConflict, What: "Salesforce says that this token is spent", Hint: "run sallyport grant authorize " + string(id), Err: err}
			}
			return nil
		case unverified && !sent && (r.State != ReauthRequired || r.Reason == ReasonUndecided):
			x.b.log.WarnContext(ctx, "a person's word verifies a grant", "org", id)
			_, err = x.apply(ctx, h, r, Found{Identity: sight.Identity, At: time.Now()})
			return err
		case sent:
			return &Error{Org: id, Code: CodeConflict, What: "the grant's token was sent and no answer was kept: nobody's word makes it safe to send again",
				Hint: "run sallyport grant authorize " + string(id)}
		case r.State == ReauthRequired && r.Reason != ReasonUndecided:
			return &Error{Org: id, Code: CodeConflict, What: "Salesforce has called this token dead or spent: nobody's word makes it live",
				Hint: "run sallyport grant authorize " + string(id)}
		}
		return &Error{Org: id, Code: CodeConflict, Temporary: true, What: "Salesforce gave no answer that can be believed",
			Hint: "try again, or say --unverified if you know that this token was not used elsewhere"}
	})
}

// sent reports whether this process's journal knows that the token of r went out
// and not that it came back unspent. A store that went back may not.
func (b *Broker) sent(r Record) bool {
	for e, err := range b.o.Journal.Entries() {
		if err == nil && e.Org == r.Org && e.Kind == EntryIntent && e.Base == r.Place && e.Outcome != OutcomeNotSent && e.Outcome != OutcomeRateLimited {
			return true
		}
	}
	return false
}

// Revoke ends org's grant: the epoch is raised first, so that no late answer
// comes in, and then the token is revoked at Salesforce.
func (b *Broker) Revoke(ctx context.Context, id OrgID) error {
	return b.underHold(ctx, id, func(ctx context.Context, x *exchange, h Hold, r Record) error {
		var subjects []Subject
		if c, err := x.credential(r); err == nil && r.SingleUse && !c.Secret.IsZero() {
			subjects = append(subjects, Subject{c.Secret, true})
		} else if l := x.s.live.Load(); l != nil {
			subjects = append(subjects, Subject{Token: l.token.Access})
		}
		if len(subjects) == 0 && r.Revoked() {
			return &Error{Org: id, Code: CodeConflict, What: "the grant was ended here before, and nothing is left to revoke at Salesforce",
				Hint: "where that failed, revoke it in Setup, under Connected Apps OAuth Usage"}
		}
		if err := b.gate(id); err != nil && len(subjects) > 0 {
			return err // once it is ended here, nobody can revoke it there
		}
		ctx = context.WithoutCancel(ctx)
		if _, err := x.apply(ctx, h, r, Ended{Epoch: b.newEpoch(x.s, r, time.Now()), At: time.Now()}); err != nil {
			return err
		}
		for _, s := range subjects {
			err := b.o.Exchanger.Revoke(ctx, id, s)
			var gone *Refusal
			if err != nil && !(errors.As(err, &gone) && gone.Class == ClassDead) {
				return &Error{Org: id, Code: CodeUpstream, Temporary: false, What: "the grant is ended here, but Salesforce didn't confirm the revocation",
					Hint: "revoke it in Setup, under Connected Apps OAuth Usage", Err: err}
			}
		}
		return nil
	})
}

// Forget destroys what is kept of org's grant, here and in the journal, and
// leaves its fingerprints, so that no old token of it enters again.
func (b *Broker) Forget(ctx context.Context, id OrgID) error {
	return b.underHold(ctx, id, func(ctx context.Context, x *exchange, h Hold, r Record) error {
		if _, err := x.apply(ctx, h, r, Ended{Epoch: b.newEpoch(x.s, r, time.Now()), Forget: true, At: time.Now()}); err != nil {
			return err
		}
		return b.o.Journal.Forget(id)
	})
}

// Ensure gives an org whose credential isn't single-use its record. It does
// nothing where there is one of that kind.
func (b *Broker) Ensure(ctx context.Context, id OrgID) error {
	set, ok := b.o.Directory.Settings(id)
	if !ok || set.SingleUse {
		return nil
	}
	leave, err := b.enter(id)
	if err != nil {
		return err
	}
	defer leave()
	s := b.org(id)
	return b.o.Store.Hold(ctx, id, func(ctx context.Context, h Hold) error {
		r, sight := h.Record()
		if r.Known() && r.Kind == set.Kind { // a revoked one too: only grant refresh begins it anew
			b.remember(s, r)
			return nil
		}
		n := b.newRecord(s, r, set)
		n.Verified, n.Generation, n.Revision = sight.Identity, 0, r.Revision
		n.Earlier, n.Orphans = r.Earlier, r.Orphans
		n.remember(r.Fingerprint)
		if len(r.Refresh) > 0 && !r.Revoked() {
			n.orphan(Orphan{r.Place, r.Refresh, r.Fingerprint, n.Since})
		}
		if err := h.Save(ctx, n); err != nil {
			return err
		}
		n, _ = h.Record()
		b.remember(s, n)
		return nil
	})
}

// underHold runs f on the record of id as the store has it, aligned with memory.
func (b *Broker) underHold(ctx context.Context, id OrgID, f func(context.Context, *exchange, Hold, Record) error) error {
	leave, err := b.enter(id)
	if err != nil {
		return err
	}
	defer leave()
	s := b.org(id)
	set, _ := b.o.Directory.Settings(id)
	return b.o.Store.Hold(ctx, id, func(ctx context.Context, h Hold) error {
		x := &exchange{b: b, s: s, f: &flight{wish: wish{force: true}}, set: set, start: time.Now()}
		r, err := x.align(ctx, h)
		if err != nil {
			return err
		}
		return f(ctx, x, h, r)
	})
}

// Status is a grant as people see it. It holds no secret.
type Status struct {
	Kind          string
	State         State
	Reason        Reason
	Detail        string
	Place         Place
	IssuedAt      time.Time // of the access token, zero if there is none
	ExpiresAt     time.Time // when it is believed to die
	Live          bool      // whether callers are served
	Failing       string    // why the last exchange was not made, empty after one was
	EnrolledAt    time.Time
	LastExchange  time.Time
	HeartbeatDue  time.Time
	AskAt         time.Time // when Salesforce is asked about a doubt
	Attempt       *Attempt
	Rotation      Rotation
	Verified      bool
	Truthful      time.Time
	Address       string
	InstanceURL   string
	Orphans       int
	SalesforceOrg string
}

// Status tells about org's grant from memory. It reports false where no grant
// is known.
func (b *Broker) Status(id OrgID) (Status, bool) {
	s := (*b.orgs.Load())[id]
	if s == nil {
		return Status{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.memory
	if !r.Known() {
		return Status{}, false
	}
	st := Status{Kind: r.Kind, State: r.State, Reason: r.Reason, Detail: r.Detail, Place: r.Place, EnrolledAt: r.EnrolledAt, LastExchange: r.LastExchange,
		Attempt: r.Attempt, Rotation: r.Rotation, Verified: r.Verified != "", Truthful: r.Truthful, Address: r.Address,
		InstanceURL: r.InstanceURL, Orphans: len(r.Orphans), SalesforceOrg: r.SalesforceOrg, Failing: s.failing}
	if due := b.p.HeartbeatDue(r); due != never {
		st.HeartbeatDue = due
	}
	if r.State == InDoubt {
		if at := b.askAt(s); at != never {
			st.AskAt = at
		}
	}
	if l := s.live.Load(); l != nil {
		st.IssuedAt, st.ExpiresAt, st.Live = l.token.IssuedAt, time.Unix(0, l.end.Load()), l.alive(time.Now())
	}
	return st, true
}
