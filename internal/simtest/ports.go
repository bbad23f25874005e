package simtest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// before and after are the hooks of the store: the gates of each operation.
func before(ctx context.Context, at tokenstest.Op, org tokens.OrgID) error {
	o, _ := ctx.Value(opKey{}).(*op)
	if o == nil {
		return nil // the driver looks
	}
	o.org = org
	return o.p.gate(o, string(at))
}

func after(ctx context.Context, at tokenstest.Op, _ tokens.OrgID) error {
	o, _ := ctx.Value(opKey{}).(*op)
	if o == nil {
		return nil
	}
	if err := o.p.done(o, string(at)+".done"); err != nil {
		return err
	}
	err := o.after
	o.after = nil
	return err
}

// storePort is the way of one process to the store.
type storePort struct{ p *process }

func (s storePort) Load(ctx context.Context, org tokens.OrgID) (tokens.Record, error) {
	ctx, _ = s.p.tag(ctx)
	r, err := s.p.w.mem.Load(ctx, org)
	if err == nil {
		s.p.saw(r)
	}
	return r, err
}

func (s storePort) All(ctx context.Context) iter.Seq2[tokens.Record, error] {
	ctx, _ = s.p.tag(ctx)
	return func(yield func(tokens.Record, error) bool) {
		for r, err := range s.p.w.mem.All(ctx) {
			if err == nil {
				s.p.saw(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// lockLife is how long a lock outlives a holder that doesn't renew it.
const lockLife = 29*time.Second + 713*time.Millisecond

func (s storePort) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	tagged, o := s.p.tag(ctx)
	o.org = org
	if err := s.p.gate(o, "lock"); err != nil {
		return err
	}
	asked := time.Now()
	held := false
	err := s.p.w.mem.Hold(tagged, org, func(_ context.Context, h tokens.Hold) error {
		held = true
		r, _ := h.Record()
		if r.Known() {
			s.p.saw(r)
		}
		s.p.holds(org, true)
		defer s.p.holds(org, false)
		err := fn(ctx, holdPort{h, s.p})
		if errors.Is(err, errDead) || s.p.isDead() {
			// Nobody releases the lock of a process that is gone.
			t := time.NewTimer(lockLife)
			defer t.Stop()
			select {
			case <-t.C:
			case <-h.Lost():
			}
		}
		return err
	})
	if !held && errors.Is(err, context.DeadlineExceeded) && time.Since(asked) > time.Second {
		s.p.w.cov.row(16)
	}
	return err
}

func (s storePort) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	if !s.p.isDead() {
		s.p.w.answered(c)
	}
	ctx, _ = s.p.tag(ctx)
	r, l, err := s.p.w.mem.Commit(ctx, org, c)
	if err == nil {
		s.p.saw(r)
	}
	return r, l, err
}

func (s storePort) Claim(ctx context.Context, org tokens.OrgID, names []string) error {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Claim(ctx, org, names)
}

func (s storePort) Claimant(ctx context.Context, name string) (tokens.OrgID, error) {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Claimant(ctx, name)
}

func (s storePort) Append(ctx context.Context, e tokens.Exchange) error {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Append(ctx, e)
}

func (s storePort) Watch(ctx context.Context, heard func(tokens.Record)) error {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Watch(ctx, func(r tokens.Record) {
		s.p.saw(r)
		heard(r)
	})
}

func (s storePort) Keep(ctx context.Context, e tokens.Entry) error {
	ctx, _ = s.p.tag(ctx)
	err := s.p.w.mem.Keep(ctx, e)
	return err
}

func (s storePort) Kept(ctx context.Context) iter.Seq2[tokens.Entry, error] {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Kept(ctx)
}

func (s storePort) Drop(ctx context.Context, org tokens.OrgID, id tokens.AttemptID) error {
	ctx, _ = s.p.tag(ctx)
	return s.p.w.mem.Drop(ctx, org, id)
}

// holdPort is a hold as its process sees it.
type holdPort struct {
	tokens.Hold
	p *process
}

func (h holdPort) Save(ctx context.Context, r tokens.Record) error {
	ctx, o := h.p.tag(ctx)
	h.p.w.mu.Lock()
	o.known = h.p.known[r.Org]
	h.p.w.mu.Unlock()
	err := h.Hold.Save(ctx, r)
	if err == nil {
		r, _ = h.Record()
		h.p.saw(r)
	}
	return err
}

// journalPort is the way of one process to its disk.
type journalPort struct {
	p *process
	j *journal.Journal
}

// write does one write of the journal between its gates.
func (j journalPort) write(point string, org tokens.OrgID, do func() error) error {
	o := &op{p: j.p, org: org}
	if err := j.p.gate(o, point); err != nil {
		return err
	}
	disk := j.p.fs
	switch {
	case o.mid > 0:
		disk.CrashAfter(o.mid - 1)
		_ = do()
		o.then = func() { j.p.w.kill(j.p, "power", o.wait) }
		_ = j.p.gate(o, "midst")
		return errDead
	case o.disk != nil:
		fail := o.disk
		disk.Fail(func(op crashOp, _ string) error {
			if op == opSync || op == opWrite {
				return fail
			}
			return nil
		})
		defer disk.Fail(nil)
	}
	if err := do(); err != nil {
		return err
	}
	return j.p.done(o, point+".done")
}

func (j journalPort) Begin(e tokens.Entry) error {
	err := j.write("begin", e.Org, func() error {
		err := j.j.Begin(e)
		if err == nil && e.Kind == tokens.EntryEnrolment {
			j.p.w.journalled(j.p, open(e.Record))
		}
		return err
	})
	if err == nil && e.Kind == tokens.EntryIntent {
		j.p.saw(e.Record)
	}
	return err
}

func (j journalPort) Answer(id tokens.AttemptID, a tokens.Answer) error {
	return j.write("answer", "", func() error {
		err := j.j.Answer(id, a)
		if err == nil {
			if i, perr := j.p.w.sf.Parse(a); perr == nil {
				j.p.w.journalled(j.p, i.Refresh.Reveal())
			}
		}
		return err
	})
}

func (j journalPort) Settle(id tokens.AttemptID, o tokens.Outcome) error {
	return j.write("settle", "", func() error { return j.j.Settle(id, o) })
}

func (j journalPort) Entries() iter.Seq2[tokens.Entry, error] { return j.j.Entries() }

func (j journalPort) Forget(org tokens.OrgID) error {
	return j.write("forget", org, func() error { return j.j.Forget(org) })
}

// exchangerPort is the way of one process to Salesforce.
type exchangerPort struct{ p *process }

func (x exchangerPort) Parse(a tokens.Answer) (tokens.Issue, error) { return x.p.w.sf.Parse(a) }

func (x exchangerPort) Connect(ctx context.Context, org tokens.OrgID) (tokens.Line, error) {
	o := &op{p: x.p, org: org}
	if err := x.p.gate(o, "connect"); err != nil {
		return nil, err
	}
	l, err := x.p.w.sf.Connect(ctx, org)
	if err != nil {
		return nil, err
	}
	return linePort{l, x.p, org}, x.p.done(o, "connect.done")
}

type linePort struct {
	tokens.Line
	p   *process
	org tokens.OrgID
}

// errIdle is a connection that the server closed meanwhile.
var errIdle = errors.New("write: broken pipe")

// Send has a gate between the guard and the first byte, and one where the
// answer comes.
func (l linePort) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	o := &op{p: l.p, org: l.org}
	if err := l.p.gate(o, "send"); err != nil {
		return nil, false, err
	}
	a, sent, err := l.Line.Send(ctx, c, func() error {
		if err := guard(); err != nil {
			l.p.w.guarded(l.p, err)
			return err
		}
		at := time.Now()
		if err := l.p.gate(o, "write"); err != nil {
			return err
		}
		if time.Since(at) > time.Minute {
			return errIdle // no server keeps an idle connection for so long
		}
		return nil
	})
	if errors.Is(err, errDead) {
		return nil, false, err
	}
	if derr := l.p.gate(o, "sent"); derr != nil {
		return nil, true, derr
	}
	if sent && len(a) > 0 {
		l.p.w.heardAnswer(l.p, a)
	}
	return a, sent, err
}

func (x exchangerPort) Introspect(ctx context.Context, org tokens.OrgID, s tokens.Subject) (tokens.Liveness, error) {
	o := &op{p: x.p, org: org}
	point := "introspect"
	if !s.Refresh {
		point = "look"
	}
	if err := x.p.gate(o, point); err != nil {
		return tokens.Liveness{}, err
	}
	if err := ctx.Err(); err != nil { // looked at right before the first byte leaves
		return tokens.Liveness{}, err
	}
	check := x.p.w.asking(x.p, org, s)
	l, err := x.p.w.sf.Introspect(ctx, org, s)
	check()
	if derr := x.p.done(o, point+".done"); derr != nil {
		return tokens.Liveness{}, derr
	}
	return l, err
}

func (x exchangerPort) Revoke(ctx context.Context, org tokens.OrgID, s tokens.Subject) error {
	if err := x.p.gate(&op{p: x.p, org: org}, "revoke"); err != nil {
		return err
	}
	return x.p.w.sf.Revoke(ctx, org, s)
}
