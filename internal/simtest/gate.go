package simtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// errDead is what a process hears that was killed and doesn't know it.
var errDead = errors.New("this process was killed")

// call is one call of a port that waits for its turn.
type call struct {
	p     *process
	o     *op
	point string
	reply chan error
	after time.Time // it isn't let through before
}

// op is one operation of a port, from before it to after it.
type op struct {
	p     *process
	org   tokens.OrgID
	known tokens.Place  // of org, when the operation began
	who   string        // of an operator's command, empty for the broker's own work
	after error         // what becomes of a reply that is on its way
	disk  error         // what the disk does meanwhile
	mid   int           // after how many more operations of the disk the machine goes down; 0: never
	then  func()        // what the driver does as it lets the call through
	wait  time.Duration // until a process that dies here is started again
}

type opKey struct{}
type whoKey struct{}

// tag marks a context as p's, for the hooks of the store.
func (p *process) tag(ctx context.Context) (context.Context, *op) {
	o := &op{p: p}
	o.who, _ = ctx.Value(whoKey{}).(string)
	return context.WithValue(ctx, opKey{}, o), o
}

// gate waits until the driver lets this call through. Its error is the call's.
func (p *process) gate(o *op, point string) error {
	w := p.w
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return errDead
	}
	c := &call{p: p, o: o, point: point, reply: make(chan error, 1)}
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	select {
	case w.arrived <- struct{}{}:
	default:
	}
	return <-c.reply
}

// done is the gate at which a reply arrives. It is there only where a fault is
// to happen.
func (p *process) done(o *op, point string) error {
	if !p.w.faulty[point] {
		return nil
	}
	return p.gate(o, point)
}

// timed is something that the driver does at a moment.
type timed struct {
	at time.Time
	do func()
}

// later lets do happen after d, at a moment when all is at rest.
func (w *world) later(d time.Duration, do func()) {
	w.timers = append(w.timers, timed{time.Now().Add(d), do})
	slices.SortStableFunc(w.timers, func(a, b timed) int { return a.at.Compare(b.at) })
}

// run lets the world go on for d.
func (w *world) run(d time.Duration) {
	if d < 0 {
		return
	}
	until := time.Now().Add(d)
	for len(w.broken) == 0 {
		synctest.Wait()
		now := time.Now()
		if len(w.timers) > 0 && !w.timers[0].at.After(now) {
			t := w.timers[0]
			w.timers = w.timers[1:]
			t.do()
			continue
		}
		c, resume := w.pick(now)
		if c != nil {
			w.let(c)
			continue
		}
		if !now.Before(until) {
			return
		}
		next := until
		if len(w.timers) > 0 && w.timers[0].at.Before(next) {
			next = w.timers[0].at
		}
		if !resume.IsZero() && resume.Before(next) {
			next = resume
		}
		t := time.NewTimer(next.Sub(now))
		select {
		case <-w.arrived:
		case <-t.C:
		}
		t.Stop()
	}
}

// pick takes the call that is let through next, and tells when the first of the
// paused processes goes on.
func (w *world) pick(now time.Time) (*call, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var resume time.Time
	ready := w.ready[:0]
	for _, c := range w.waiting {
		at := c.p.paused
		if c.after.After(at) {
			at = c.after
		}
		switch {
		case !at.After(now):
			ready = append(ready, c)
		case resume.IsZero() || at.Before(resume):
			resume = at
		}
	}
	w.ready = ready
	if len(ready) == 0 {
		return nil, resume
	}
	c := ready[0]
	if len(ready) > 1 {
		slices.SortFunc(ready, func(a, b *call) int {
			return cmp.Or(cmp.Compare(a.p.serial, b.p.serial), cmp.Compare(a.point, b.point), cmp.Compare(a.o.org, b.o.org), cmp.Compare(a.o.who, b.o.who))
		})
		c = ready[w.rng.IntN(len(ready))]
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(o *call) bool { return o == c })
	return c, resume
}

// let lets one call through, unless a fault happens to it.
func (w *world) let(c *call) {
	w.counts[c.point]++
	w.log("%s %s %s %s", c.p.name, c.point, c.o.org, c.o.who)
	if c.o.then != nil {
		c.o.then()
	}
	for i, f := range w.sc.Faults {
		if !w.fired[i] && f.At == c.point && f.Nth <= w.counts[c.point] {
			w.fired[i] = true
			w.log("  fault %s", f)
			if w.fault(f, c) {
				return
			}
		}
	}
	c.reply <- w.weather(c)
	if c.point == "sent" {
		w.inspect()
	}
}

// weather is what the state of the world says about a call.
func (w *world) weather(c *call) error {
	switch {
	case c.point == "watch" && (w.sc.Switches.Hearing == HearSome && w.rng.IntN(3) == 0 || c.p.cut.After(time.Now())):
		return errors.New("a message that gets lost")
	case storePoints[c.point] && c.p.cut.After(time.Now()):
		w.cov.row(17)
		return errAway
	}
	return nil
}

// errAway is a store that can't be reached.
var errAway = errors.New("dial tcp: connection refused")

// storePoints are the points on the way to the store.
var storePoints = map[string]bool{
	"load": true, "all": true, "hold": true, "save": true, "commit": true, "claim": true, "claimant": true, "append": true,
	"keep": true, "kept": true, "drop": true,
}
