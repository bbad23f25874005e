package simtest

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// up is the process of a replica, or of the next one that has one and serves.
func (w *world) up(i int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.reps {
		p := w.reps[(max(i, 0)+k)%len(w.reps)].proc
		if p != nil && p.ready && !p.dead && !p.draining {
			return p
		}
	}
	return nil
}

// step does one step. Whoever waits does so in a goroutine of its own.
func (w *world) step(s Step) {
	p := w.up(s.Replica)
	switch s.Do {
	case "idle":
	case "call":
		w.calls(s.Replica, max(s.N, 1))
	case "logout":
		w.sf.Kill(acme)
	case "need":
		w.sf.Kill(acme)
		w.calls(s.Replica, max(s.N, 1))
	case "storm":
		w.storm(s)
	case "leave":
		if p != nil {
			w.leave(p)
		}
	case "introspection":
		w.sf.Introspecting(tokenstest.Introspection(s.N))
		w.denied = w.denied || tokenstest.Introspection(s.N) == tokenstest.IntrospectionDenied || w.sc.Switches.Introspection == tokenstest.IntrospectionDenied
		w.later(s.For, func() { w.sf.Introspecting(w.sc.Switches.Introspection) })
	case "foreign":
		w.foreign = true
		if w.sf.Spend(acme) != "" {
			w.cov.row(28)
		}
	case "snapshot":
		w.snap = w.mem.Snapshot()
	case "kill", "power", "burn":
		if p != nil {
			w.kill(p, s.Do, max(s.For, time.Second))
		}
	case "drain":
		if p != nil {
			w.drain(p, max(s.For, time.Second))
		}
	default:
		if !w.happens(s.Do, s.N, s.For, p) {
			w.operate(s, p)
		}
	}
}

// happens does what may come as a step or as a fault, and reports whether it
// knows it.
func (w *world) happens(do string, n int, d time.Duration, p *process) bool {
	switch do {
	case "cut":
		w.cut(p, d)
	case "pause":
		w.pause(p, d)
	case "full":
		if p == nil {
			break
		}
		p.fs.SetFree(0)
		w.disks = true
		w.cov.row(56)
		fs := p.fs
		w.later(d, func() { fs.SetFree(-1) })
	case "expire":
		if w.mem.Expire(acme) {
			w.cov.row(3)
		}
	case "regress":
		w.regress(func() { w.mem.Regress(n) }, 4)
	case "restore":
		w.regress(func() { w.mem.Restore(w.snap) }, 29)
	case "empty":
		w.regress(func() { w.mem.Restore(tokenstest.Snapshot{}) }, 0)
	case "failover":
		w.mem.Restart()
		w.cov.count("store failed over, nothing lost")
	default:
		return false
	}
	return true
}

// regress takes the store back, and counts what it lost.
func (w *world) regress(do func(), row int) {
	was := w.stored(acme)
	do()
	is := w.stored(acme)
	switch {
	case is.Place.Compare(was.Place) >= 0:
		w.cov.count("store went back, nothing of this grant lost")
		return
	case is.Epoch < was.Epoch:
		w.cov.row(50)
	case row == 4:
		w.cov.row(49)
	}
	if row != 0 {
		w.cov.row(row)
	}
	if !is.Known() {
		w.cov.count("store emptied")
	}
}

// stored is what the store holds of an org.
func (w *world) stored(org tokens.OrgID) tokens.Record {
	r, err := w.mem.Load(context.Background(), org)
	if err != nil {
		return tokens.Record{}
	}
	return r
}

// cut parts a process from the store. A lock that it can't renew expires.
func (w *world) cut(p *process, d time.Duration) {
	if p == nil {
		return
	}
	p.cut = time.Now().Add(d)
	if d > lockLife {
		w.later(lockLife, func() { w.expire(p) })
	}
}

// pause stops a process as a whole.
func (w *world) pause(p *process, d time.Duration) {
	if p == nil {
		return
	}
	p.paused = time.Now().Add(d)
	if d > lockLife {
		w.later(lockLife, func() { w.expire(p) })
	}
}

func (w *world) expire(p *process) {
	w.mu.Lock()
	holds := p.holding[acme]
	w.mu.Unlock()
	if holds && w.mem.Expire(acme) {
		w.cov.row(3)
	}
}

// calls lets n callers come to a replica, or to each where i is negative.
func (w *world) calls(i, n int) {
	for k := range w.reps {
		if i >= 0 && k != i%len(w.reps) {
			continue
		}
		p := w.up(k)
		if p == nil || i < 0 && p.rep.index != k {
			continue
		}
		for range n {
			go w.caller(p, acme)
		}
	}
}

// storm is a need of everybody at once: one exchange.
func (w *world) storm(s Step) {
	w.sf.Kill(acme)
	before, _ := w.sf.Seen()
	w.calls(-1, max(s.N, 1))
	w.cov.row(30)
	if len(w.reps) > 1 {
		w.cov.row(15)
	}
	w.later(min(s.Then, 25*time.Second), func() {
		if now, _ := w.sf.Seen(); now != before+1 {
			w.breaks("one exchange: %d callers on %d replicas caused %d", max(s.N, 1)*len(w.reps), len(w.reps), now-before)
		}
	})
}

// leave is a caller who goes away.
func (w *world) leave(p *process) {
	w.sf.Kill(acme)
	go func() { // ends with ctx
		ctx, cancel := context.WithTimeout(p.ctx, 20*time.Millisecond)
		defer cancel()
		if t, err := p.broker.Token(ctx, acme); err == nil && !w.sf.Call(t) {
			_, err = p.broker.Replace(ctx, acme, t)
			if errors.Is(err, context.DeadlineExceeded) {
				w.cov.row(14)
			}
		}
	}()
}

// copies are the refresh tokens of which a person may have a copy: those that
// the store has shown.
func (w *world) copies() []string {
	all := w.sf.Minted(acme)
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(all, func(t string) bool { return !w.landed[t] })
}

// operate is a person's command.
func (w *world) operate(s Step, p *process) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(p.ctx, whoKey{}, s.Do), 3*time.Minute)
	bring := func(org tokens.OrgID, token string, row int) func() error {
		return func() error {
			_, err := p.broker.Import(ctx, org, secret.NewText(token))
			if row != 0 {
				w.cov.row(row)
			}
			return err
		}
	}
	var do func() error
	switch s.Do {
	case "authorize":
		do = func() error {
			_, err := p.broker.Authorize(ctx, acme, tokens.Credential{Kind: "authorization_code", Secret: secret.NewText("code")})
			return err
		}
	case "import":
		do = bring(acme, w.sf.Authorise(acme), 46)
	case "import-old", "import-elsewhere":
		all := w.copies()
		if len(all) == 0 {
			cancel()
			return
		}
		org := acme
		if s.Do == "import-elsewhere" {
			org = other
		}
		do = bring(org, all[s.N%len(all)], 51)
		if org == other {
			bringIt := do
			do = func() error {
				err := bringIt()
				if errors.Is(err, &tokens.Error{Code: tokens.CodeConflict}) {
					w.cov.row(34)
				}
				return err
			}
		}
	case "seed":
		all := w.copies()
		if len(all) == 0 {
			cancel()
			return
		}
		do = func() error {
			_, err := p.broker.Seed(ctx, acme, secret.NewText(all[0]))
			w.cov.count("seed applied")
			return err
		}
	case "settle":
		do = func() error { return p.broker.Settle(ctx, acme) }
	case "refresh":
		do = func() error { _, err := p.broker.Refresh(ctx, acme); return err }
	case "confirm", "confirm unverified":
		if s.Do == "confirm" {
			do = func() error { return p.broker.Confirm(ctx, acme, false) }
			break
		}
		all, unheard := w.reachable()
		do = func() error {
			for _, q := range all {
				_, _ = q.broker.Realign(ctx, acme)
			}
			w.sf.Vouch(acme)
			err := p.broker.Confirm(ctx, acme, true)
			if err == nil {
				w.mu.Lock()
				w.misled = w.misled || w.burned || unheard
				w.mu.Unlock()
			}
			return err
		}
	case "revoke":
		do = func() error { return p.broker.Revoke(ctx, acme) }
	case "forget":
		w.forgot = true
		do = func() error { return p.broker.Forget(ctx, acme) }
	default:
		cancel()
		w.breaks("the scenario has a step that nobody knows: %s", s.Do)
		return
	}
	p.asked++
	go func() { // ends with ctx
		defer cancel()
		err := do()
		if err != nil {
			w.discreet("a person is told", err.Error())
		}
		w.note("%s: %s came to %v", p.name, s.Do, err)
		_ = p.gate(&op{p: p, who: s.Do, then: func() { p.asked-- }}, "told")
	}()
}

// reachable are the processes that have shown the store what they remember by
// the time that a person speaks: each looks after it once a second, and no word
// is taken before a store that went back has settled. unheard says that a
// replica isn't among them: then the person can't know that no other copy is in
// use.
func (w *world) reachable() (all []*process, unheard bool) {
	now := time.Now()
	for _, r := range w.reps {
		p := r.proc
		if p == nil || p.isDead() || p.paused.After(now) || p.cut.After(now) {
			unheard = true
			continue
		}
		all = append(all, p)
	}
	return all, unheard
}

// fault does what a fault says to a call, and reports whether the call has been
// answered or waits on.
func (w *world) fault(f Fault, c *call) bool {
	p := c.p
	w.row(f)
	switch f.Do {
	case "kill", "power", "burn":
		c.reply <- errDead
		w.kill(p, f.Do, f.For)
		return true
	case "midst":
		c.o.mid, c.o.wait = max(f.N, 1), f.For
		c.reply <- nil
		return true
	case "eio":
		c.o.disk, w.disks = syscall.EIO, true
	case "enospc":
		c.o.disk, w.disks = syscall.ENOSPC, true
	case "refuse":
		c.reply <- errAway
		return true
	case "unknown":
		c.reply <- tokens.ErrUnknown
		return true
	case "lost":
		c.o.after = tokens.ErrUnknown
	case "short":
		c.o.after = tokens.ErrShort
	case "salesforce":
		w.sf.Next(tokenstest.Fault(f.N))
	case "pause":
		w.pause(p, f.For)
		w.wait(c)
		return true
	case "cut":
		w.cut(p, f.For)
	case "do drain":
		w.drain(p, f.For)
	default:
		if w.happens(f.Do, f.N, f.For, p) {
			break
		}
		w.operate(Step{Do: f.Do, N: f.N}, w.up(f.N))
		c.after = time.Now().Add(700 * time.Millisecond) // the person is quicker
		w.wait(c)
		return true
	}
	return false
}

// wait puts a call back, so that others may go first.
func (w *world) wait(c *call) {
	w.counts[c.point]--
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, c)
}
