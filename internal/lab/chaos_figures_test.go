package lab_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// figures are what a chaos run measures.
type figures struct {
	crowds       int             // sessions killed under a thousand callers
	handovers    []time.Duration // from a commit to the first use at another replica
	steadyCalls  int
	steadyWaits  int // callers who waited for a token in steady state
	steadyExpiry int // exchanges then
	faults       map[string]int
	convergedIn  time.Duration
	exchanges    map[string]int // by what asked for them
	unexplained  []string
}

// begin has every replica serve every org once.
func (x *chaos) begin() {
	x.t.Helper()
	x.session(time.Hour)
	x.everyoneCalls(chaosOrgs...)
}

// everyoneCalls makes a call of each org at each replica at once; all must be
// served.
func (x *chaos) everyoneCalls(orgs ...string) {
	x.t.Helper()
	var wg sync.WaitGroup
	for i, l := range x.replicas {
		for _, org := range orgs {
			wg.Go(func() { // ends with the call
				if seen, err := l.Call(x.t.Context(), x.clients[i], org); err != nil || seen.Status != http.StatusOK {
					x.t.Errorf("%s at replica %d: %d %s %v", org, i, seen.Status, seen.Body, err)
				}
			})
		}
	}
	wg.Wait()
}

// crowd is how many callers need a token at once.
const crowd = 1000

// assemble opens a connection for each caller of a crowd, a few at a time, so
// that what is measured later isn't the making of connections: Salesforce keeps
// all of them waiting until the last has come.
func (x *chaos) assemble() {
	x.t.Helper()
	release, all := make(chan struct{}), make(chan struct{}, crowd)
	disarm := x.sim().Inject(sfsim.Fault{At: sfsim.EndpointAPI, Times: -1, HoldBefore: release, Reached: func() { all <- struct{}{} }})
	slots := make(chan struct{}, 16)
	x.atOnce(func(ctx context.Context) context.Context {
		slots <- struct{}{}
		return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { <-slots }})
	}, func() {
		late := time.After(30 * time.Second)
		for here := 0; here < crowd; here++ {
			select {
			case <-all:
			case <-late:
				x.t.Errorf("only %d of a crowd of %d assembled", here, crowd)
				here = crowd
			}
		}
		disarm()
		close(release)
	})
}

// atOnce has the crowd call acme, a part of it at each replica. All must be
// served.
func (x *chaos) atOnce(with func(context.Context) context.Context, meanwhile func()) {
	x.t.Helper()
	var wg sync.WaitGroup
	for n := range crowd {
		i := n % chaosReplicas
		wg.Go(func() { // ends with the call
			if seen, err := x.replicas[i].Call(with(x.t.Context()), x.clients[i], "acme"); err != nil || seen.Status != http.StatusOK {
				x.t.Errorf("acme at replica %d: %d %s %v", i, seen.Status, seen.Body, err)
			}
		})
	}
	meanwhile()
	wg.Wait()
}

// crowds kills a session n times, each time under a thousand callers at once.
func (x *chaos) crowds(n int) {
	x.t.Helper()
	if n > 0 {
		x.assemble()
	}
	for range n {
		before := x.sim().Ledger().Exchanges
		x.killSession("acme")
		x.atOnce(func(ctx context.Context) context.Context { return ctx }, func() {})
		if got := x.sim().Ledger().Exchanges - before; got != 1 {
			x.t.Errorf("a thousand callers on four replicas caused %d exchanges, want 1", got)
		}
		x.figures.crowds++
	}
}

// heard is a write of a record as the store told it.
type heard struct {
	org, state string
	at         time.Time
}

// commits tells every write of a record that the store publishes from now on.
func (x *chaos) commits(ctx context.Context) <-chan heard {
	x.t.Helper()
	s, err := x.redis.record(ctx)
	if err != nil {
		x.t.Fatal(err)
	}
	client := s.Client()
	sub := client.Subscribe(ctx, "sallyport:records")
	if _, err := sub.Receive(ctx); err != nil { // the subscription stands
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		sub.Close()
		client.Close()
	})
	out := make(chan heard, 1024)
	go func() { // ends when the subscription is closed
		for m := range sub.Channel() {
			at := time.Now()
			var v struct {
				Record struct{ Org, State string }
			}
			if json.Unmarshal([]byte(m.Payload), &v) == nil {
				out <- heard{v.Record.Org, v.Record.State, at}
			}
		}
	}()
	return out
}

// handovers kills a session n times under one waiter at each replica, and
// measures from when the store tells the commit to when Salesforce sees the new
// token from the replicas that didn't make the exchange.
func (x *chaos) handovers(n int) {
	x.t.Helper()
	const org = "globex"
	told := x.commits(x.t.Context())
	var mu sync.Mutex // guards first
	first := map[string]map[string]time.Time{}
	stop := x.sim().Inject(sfsim.Fault{At: sfsim.EndpointAPI, Times: -1, Match: func(s sfsim.Seen) bool {
		now, from := time.Now(), s.Source.Unmap().String()
		mu.Lock()
		defer mu.Unlock()
		if first[s.Token.Fingerprint] == nil {
			first[s.Token.Fingerprint] = map[string]time.Time{}
		}
		if first[s.Token.Fingerprint][from].IsZero() {
			first[s.Token.Fingerprint][from] = now
		}
		return false
	}})
	defer stop()
	for range n {
		for len(told) > 0 {
			<-told
		}
		release := make(chan struct{})
		disarm := x.sim().Inject(sfsim.HoldAnswer(release))
		time.AfterFunc(50*time.Millisecond, func() { close(release) }) // until all four wait
		x.killSession(org)
		x.everyoneCalls(org)
		disarm()
		var commit time.Time
		for end := time.After(5 * time.Second); commit.IsZero(); {
			select {
			case h := <-told:
				if h.org == org && h.state == "ready" {
					commit = h.at
				}
			case <-end:
				x.t.Fatal("the store told of no commit")
			}
		}
		all := x.sim().Ledger().Tokens
		won := all[len(all)-1]
		mu.Lock()
		for i := range x.replicas {
			if at, ok := first[won.Access.Fingerprint][source(i)]; ok && source(i) != won.Source.Unmap().String() {
				x.figures.handovers = append(x.figures.handovers, max(0, at.Sub(commit)))
			}
		}
		mu.Unlock()
	}
	slices.Sort(x.figures.handovers)
	// It is a few milliseconds. A notification that was lost costs a poll.
	if c := len(x.figures.handovers); c < n || x.figures.handovers[c/2] > 100*time.Millisecond {
		x.t.Errorf("from a commit to the first use at another replica: %v", x.figures.handovers)
	}
}

// waits counts how many callers have waited for a token, at all replicas.
func (x *chaos) waits() (n int) {
	x.t.Helper()
	for i, l := range x.replicas {
		req, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, "http://"+l.Admin+"/metrics", nil)
		if err != nil {
			x.t.Fatal(err)
		}
		resp, err := (&http.Client{}).Do(req)
		if err != nil {
			x.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			x.t.Fatalf("the metrics of replica %d: %d %v", i, resp.StatusCode, err)
		}
		for l := range strings.Lines(string(text)) {
			if !strings.HasPrefix(l, "sallyport_token_wait_duration_seconds_count") {
				continue
			}
			v, err := strconv.ParseFloat(l[strings.LastIndexByte(strings.TrimSpace(l), ' ')+1:len(l)-1], 64)
			if err != nil {
				x.t.Fatal(err)
			}
			n += int(v)
		}
	}
	return n
}

// steady lets callers call while tokens expire and nothing else happens. Nobody
// may wait for a token, and each expiry costs one exchange.
func (x *chaos) steady(calls int) {
	x.t.Helper()
	x.session(x.size.life)
	for _, org := range chaosOrgs {
		x.killSession(org)
	}
	x.everyoneCalls(chaosOrgs...)
	disarm := x.sim().Inject(sfsim.DelayBefore(200 * time.Millisecond).For(-1)) // who waits is seen to
	defer disarm()
	before, waited, already := x.sim().Ledger().Exchanges, x.waits(), x.callsSoFar()
	if waited == 0 {
		x.t.Error("nobody is said to have waited for a killed session: the metric proves nothing")
	}
	stop := x.keepCalling(3, 0)
	for end := time.Now().Add(x.size.life); x.callsSoFar()-already < calls || time.Now().Before(end); {
		x.wait(50 * time.Millisecond)
		if x.t.Context().Err() != nil {
			break
		}
	}
	stop()
	x.figures.steadyCalls, x.figures.steadyWaits = x.callsSoFar()-already, x.waits()-waited
	x.figures.steadyExpiry = x.sim().Ledger().Exchanges - before
	if x.figures.steadyWaits != 0 {
		x.t.Errorf("%d callers waited for a token in steady state, want 0", x.figures.steadyWaits)
	}
	last := map[int]time.Time{}
	for n, r := range x.sim().Ledger().Tokens {
		if n >= before && r.Time.Sub(last[r.Access.Grant]) < x.size.life*6/10 {
			x.t.Errorf("grant %d was exchanged twice within %s in steady state", r.Access.Grant, r.Time.Sub(last[r.Access.Grant]))
		}
		last[r.Access.Grant] = r.Time
	}
	if x.figures.steadyExpiry < len(chaosOrgs) {
		x.t.Errorf("%d exchanges in steady state: no token expired", x.figures.steadyExpiry)
	}
}

func (x *chaos) callsSoFar() int {
	x.calls.mu.Lock()
	defer x.calls.mu.Unlock()
	return x.calls.calls
}

// converge waits until every grant is ready at every replica, everybody is
// served, and every grant can be exchanged once more.
func (x *chaos) converge() {
	x.t.Helper()
	began := time.Now()
	for !x.allReady() {
		if time.Since(began) > 45*time.Second {
			x.t.Errorf("after %s without a fault not every grant is ready:\n%s", time.Since(began), x.states())
			break
		}
		x.wait(100 * time.Millisecond)
	}
	x.figures.convergedIn = time.Since(began)
	for n, org := range chaosOrgs {
		x.lastExchange(org, n%chaosReplicas)
	}
	x.rest()
	x.everyoneCalls(chaosOrgs...)
}

// lastExchange has replica i exchange org's token once more: the chain of
// refresh tokens is whole. A store that was replaced is settled with first, and
// a person who is needed comes.
func (x *chaos) lastExchange(org string, i int) {
	x.t.Helper()
	for began := time.Now(); ; x.wait(500 * time.Millisecond) {
		x.mu.Lock()
		x.asked[org] = append(x.asked[org], time.Now())
		x.mu.Unlock()
		status, body, err := x.replicas[i].AdminCall(x.t.Context(), http.MethodPost, "/v1/orgs/"+org+"/refresh?wait=20s", nil)
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Since(began) > 20*time.Second || x.t.Context().Err() != nil {
			x.t.Errorf("the last exchange of %s: %d %s %v", org, status, body, err)
			return
		}
	}
}

func (x *chaos) allReady() bool {
	for _, org := range chaosOrgs {
		var first lab.Grant
		for i := range x.replicas {
			g, ok := x.state(i, org)
			if i == 0 {
				first = g
			}
			if !ok || g.State != "ready" || g != first {
				return false
			}
		}
	}
	return true
}

func (x *chaos) states() string {
	var b strings.Builder
	for _, org := range chaosOrgs {
		for i := range x.replicas {
			g, ok := x.state(i, org)
			b.WriteString(org + " at replica " + strconv.Itoa(i) + ": ")
			if !ok {
				b.WriteString("no answer")
			}
			b.WriteString(g.State + " " + g.Reason + " " + strconv.FormatInt(g.Epoch, 10) + "." + strconv.FormatInt(g.Generation, 10) + "\n")
		}
	}
	return b.String()
}
