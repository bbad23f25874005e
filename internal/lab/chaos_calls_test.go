package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// window is a time during which something was amiss. It has no end while that
// lasts.
type window struct{ from, to time.Time }

func (w window) meets(from, to time.Time) bool {
	return (w.to.IsZero() || w.to.After(from)) && w.from.Before(to)
}

// windows may be used by several goroutines at once.
type windows struct {
	mu  sync.Mutex
	all []window // guarded by mu; at most the last has no end
}

func (w *windows) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, window{from: time.Now()})
}

func (w *windows) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[len(w.all)-1].to = time.Now()
}

func (w *windows) meet(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.all {
		if x.meets(from, to) {
			return true
		}
	}
	return false
}

// sight is an access token that served a call.
type sight struct {
	fingerprint string
	first       time.Time
}

// callers are clients that never stop, and what became of their calls.
type callers struct {
	mu      sync.Mutex // guards all below
	newest  map[string]sight
	ever    map[string]bool                 // every token that served
	seen    [chaosReplicas]map[string]sight // the newest that each replica has served
	calls   int
	failed  map[string]int // by code, of those that a fault explains
	avoided []string       // failures that nothing explains
	slow    time.Duration  // the longest call, less those that their own replica's fault held up
	slowAs  string
}

func newCallers() *callers {
	c := &callers{newest: map[string]sight{}, ever: map[string]bool{}, failed: map[string]int{}}
	for i := range c.seen {
		c.seen[i] = map[string]sight{}
	}
	return c
}

// served notes a call that was served with a token.
func (c *callers) served(org string, replica int, fingerprint string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.seen[replica][org].fingerprint == fingerprint {
		return
	}
	if !c.ever[fingerprint] {
		c.ever[fingerprint] = true
		c.newest[org] = sight{fingerprint, now}
	}
	c.seen[replica][org] = sight{fingerprint, now}
}

// documented are the codes with which a call may fail for want of a token.
var documented = map[string]bool{"token_unavailable": true, "reauth_required": true, "session_rejected": true}

// grace is how long a replica may take to learn what others know, once nothing
// is amiss between them.
const grace = 4 * time.Second

// call makes one call and judges it.
func (x *chaos) call(ctx context.Context, i int, c *http.Client, org string) {
	began := time.Now()
	seen, err := x.replicas[i].Call(ctx, c, org)
	ended := time.Now()
	switch {
	case ctx.Err() != nil:
		return
	case x.down[i].meet(began, ended.Add(50*time.Millisecond)):
		return // its own replica was killed or suspended
	}
	x.calls.mu.Lock()
	if took := ended.Sub(began); took > x.calls.slow {
		x.calls.slow, x.calls.slowAs = took, fmt.Sprintf("%s at replica %d, status %d %s, ended at %s", org, i, seen.Status, seen.Error, ended.Format(time.TimeOnly))
	}
	x.calls.mu.Unlock()
	if err == nil && seen.Status == http.StatusOK {
		x.calls.served(org, i, seen.Fingerprint, ended)
		return
	}
	why := x.avoidable(i, org, began, ended)
	if err != nil || !documented[seen.Error] {
		why = "it has no documented code"
	}
	x.calls.mu.Lock()
	x.calls.calls++
	if why == "" {
		x.calls.failed[seen.Error]++
	} else {
		x.calls.avoided = append(x.calls.avoided, fmt.Sprintf("%s: %s at replica %d, begun %s earlier: status %d %s %v %s: %s",
			ended.Format("15:04:05.000"), org, i, ended.Sub(began).Round(time.Millisecond), seen.Status, seen.Error, err, seen.Body, why))
	}
	x.calls.mu.Unlock()
	select { // as a client does that was refused
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
}

// avoidable says why a call of org that failed at replica i shouldn't have: a
// token lives that this replica has served, or could have learnt of. A token is
// as good as unknown that nobody served yet: its answer may be the one that was
// lost.
func (x *chaos) avoidable(i int, org string, began, ended time.Time) string {
	x.calls.mu.Lock()
	newest, own := x.calls.newest[org], x.calls.seen[i][org]
	x.calls.mu.Unlock()
	if own.fingerprint != "" && own.first.Before(began) && own.fingerprint == newest.fingerprint && x.lives(own.fingerprint) && !x.down[i].meet(own.first, ended) {
		return "this very process has served it with a token that lives"
	}
	since := ended.Add(-grace)
	if newest.fingerprint == "" || newest.first.After(since) || !x.lives(newest.fingerprint) {
		return ""
	}
	if x.store.meet(since, ended) || x.down[i].meet(since, ended) {
		return ""
	}
	return "another replica has a token that lives, and nothing stands between them"
}

// lives reports whether Salesforce would accept the token of a fingerprint,
// which has served a call, and said so: a JWT tells its end in whole seconds, and
// Salesforce takes it up to a second longer.
func (x *chaos) lives(fingerprint string) bool {
	l := x.sim().Ledger()
	told := slices.ContainsFunc(l.Tokens, func(r sfsim.TokenRequest) bool {
		return r.Access.Fingerprint == fingerprint && time.Since(r.Time) < x.size.life-time.Second
	})
	return told && slices.ContainsFunc(l.API, func(a sfsim.APICount) bool {
		return a.Token.Fingerprint == fingerprint && a.Token.State == "current"
	})
}

func (x *chaos) sim() *sfsim.Sim { return x.replicas[0].Sim }

// keepCalling has n callers for each org at each replica call without end, with
// pause between calls. It returns a function that stops them.
func (x *chaos) keepCalling(n int, pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range x.replicas {
		for _, org := range chaosOrgs {
			for range n {
				wg.Go(func() { // ends with stop
					for ctx.Err() == nil {
						x.call(ctx, i, x.clients[i], org)
						if pause > 0 {
							select {
							case <-time.After(pause):
							case <-ctx.Done():
							}
						}
					}
				})
			}
		}
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// state is org's grant as replica i sees it, or nothing where it doesn't say.
func (x *chaos) state(i int, org string) (lab.Grant, bool) {
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Second)
	defer cancel()
	g, err := x.replicas[i].Grant(ctx, org)
	return g, err == nil && g.State != ""
}
