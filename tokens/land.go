package tokens

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/secret"
)

// answered is the record after an answer on its own base: the attempt a of
// intent brought i.
func (b *Broker) answered(intent Record, a Attempt, i Issue, now time.Time) (Record, error) {
	n := intent.clone()
	n.end(a.ID, OutcomeIssued)
	n.Place = Place{a.Base.Epoch, a.Base.Generation + 1}
	n = n.to(Ready, "", "", now)
	n.LastExchange = now
	return n, b.fill(&n, i, a.Address, now)
}

// fill puts what an answer brought into n, sealed.
func (b *Broker) fill(n *Record, i Issue, address string, now time.Time) error {
	switch {
	case !n.SingleUse:
	case i.Refresh.IsZero():
		// An org without rotation: the token goes on. Never write an empty one.
		n.Rotation = DoesNotRotate
	default:
		if err := b.fillRefresh(n, i.Refresh); err != nil {
			return err
		}
	}
	if i.OrgID != "" {
		n.SalesforceOrg, n.SalesforceUser = i.OrgID, i.UserID
	}
	if i.Access.IsZero() {
		return nil // of a cut answer: the older access token goes on
	}
	sealed, err := b.o.Sealer.Seal([]byte(i.Access.Reveal()), string(n.Org), FieldAccess)
	if err != nil {
		return err
	}
	n.Access, n.AccessPlace = sealed, n.Place
	n.IssuedAt, n.AccessAt, n.ExpiresAt, n.Address = i.IssuedAt, now, i.ExpiresAt, address
	if !i.ExpiresAt.IsZero() && !i.IssuedAt.IsZero() {
		// Both by Salesforce's clock; ours may differ.
		n.ExpiresAt = now.Add(i.ExpiresAt.Sub(i.IssuedAt))
	}
	if n.IssuedAt.IsZero() {
		n.IssuedAt = now
	}
	if i.InstanceURL != "" {
		n.InstanceURL = i.InstanceURL
	}
	return nil
}

func (b *Broker) fillRefresh(n *Record, refresh secret.Text) error {
	fp := b.o.Fingerprint.Of(refresh.Reveal())
	if fp == n.Fingerprint {
		n.Rotation = DoesNotRotate
		return nil
	}
	sealed, err := b.o.Sealer.Seal([]byte(refresh.Reveal()), string(n.Org), FieldRefresh)
	if err != nil {
		return err
	}
	if n.Fingerprint != "" {
		n.remember(n.Fingerprint)
		n.Rotation = Rotates
	}
	n.Refresh, n.Fingerprint = sealed, fp
	return nil
}

// commit writes an answer to the store until it lands. While the store is away
// the answer is served from here, and no further exchange of the org begins.
func (b *Broker) commit(ctx context.Context, s *org, c Committed) Landing {
	l, err := b.tryCommit(ctx, s, c, false)
	if err == nil {
		return l
	}
	b.log.ErrorContext(ctx, "the store didn't take an answer: it is served from the journal and committed until it lands", "org", s.id, "error", err)
	s.mu.Lock()
	s.pending = &c
	s.mu.Unlock()
	b.remember(s, c.Record)
	// Counted even while draining: the work of the flight that calls holds the
	// counter above zero.
	b.work.Add(1)
	go func() { // ends when the answer landed, or with b.background
		defer b.work.Done()
		b.commitUntilLanded(trace.ContextWithSpanContext(b.background(), trace.SpanContextFromContext(ctx)), s, c)
	}()
	return LandedReady
}

func (b *Broker) commitUntilLanded(ctx context.Context, s *org, c Committed) {
	for n := 1; ; n++ {
		t := time.NewTimer(backoff(n, b.jitter()))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		if _, err := b.tryCommit(ctx, s, c, false); err == nil {
			s.mu.Lock()
			s.pending = nil
			b.arm(s)
			s.mu.Unlock()
			return
		}
	}
}

// tryCommit writes an answer to the store: replayed where it was found in a
// journal.
func (b *Broker) tryCommit(ctx context.Context, s *org, c Committed, replayed bool) (Landing, error) {
	c.Record.Replayed = replayed
	var r Record
	var l Landing
	err := b.tel.inSpan(ctx, attr.SpanCommit, func(ctx context.Context) error {
		var err error
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		r, l, err = b.o.Store.Commit(ctx, s.id, c)
		return err
	}, attr.Generation.Int64(c.Record.Generation))
	if err != nil {
		return l, err
	}
	switch l {
	case LandedHealed:
		b.log.WarnContext(ctx, "an answer was written over an older record: unverified until introspection says that its token is live", "org", s.id)
	case LandedOrphaned, LandedContested:
		b.log.ErrorContext(ctx, "alarm: an answer belongs to an authorisation that was replaced: its token is kept aside", "org", s.id, "landing", l)
	case LandedNowhere, LandedReady, LandedAlready, LandedForgotten:
	}
	if !replayed && r.Place == c.Record.Place && r.Fingerprint == c.Record.Fingerprint {
		b.acquaint(s, r)
	} else {
		b.remember(s, r)
	}
	if c.Record.SingleUse { // after memory: a store that goes back now must not be healed with less
		b.settle(s.id, c.Attempt, OutcomeIssued)
	}
	if l == LandedForgotten || r.Forgotten {
		if err := b.o.Journal.Forget(s.id); err != nil {
			b.log.ErrorContext(ctx, "the journal keeps a secret of a forgotten grant until the next start", "org", s.id, "error", err)
		}
	}
	b.unspool(ctx, s.id, c.Attempt)
	return l, nil
}

// commitTimeout bounds one try to commit. The next one is idempotent.
const commitTimeout = 15 * time.Second

// spool leaves an answer in the store where the journal's disk may not outlive
// this process, before the answer is used for anything.
func (b *Broker) spool(ctx context.Context, intent Record, a Attempt, sight Sight, answer Answer) {
	if b.o.Spool == nil || !intent.SingleUse {
		return
	}
	e := Entry{Attempt: a.ID, Org: intent.Org, Replica: b.o.Replica, Deployment: b.o.Deployment, Kind: EntryIntent,
		Base: a.Base, Identity: sight.Identity, Record: intent, Answer: answer}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := b.o.Spool.Keep(ctx, e); err != nil {
		b.log.WarnContext(ctx, "the store didn't take the copy of an answer: it is committed at once", "org", intent.Org, "error", err)
	}
}

// unspool drops what spool left, once the store has it as a record.
func (b *Broker) unspool(ctx context.Context, id OrgID, a AttemptID) {
	if b.o.Spool == nil {
		return
	}
	if err := b.o.Spool.Drop(ctx, id, a); err != nil {
		b.log.WarnContext(ctx, "a copy of an answer stays in the store until the next start", "org", id, "error", err)
	}
}

// settle marks an attempt in the journal. A mark that is lost costs a look at
// the next start and nothing else.
func (b *Broker) settle(id OrgID, a AttemptID, o Outcome) {
	if err := b.o.Journal.Settle(a, o); err != nil {
		b.log.Warn("the journal refused a mark", "org", id, "error", err)
	}
}
