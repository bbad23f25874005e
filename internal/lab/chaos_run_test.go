package lab_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
)

const chaosReplicas = 4

var chaosOrgs = []string{"acme", "globex", "initech"}

// chaos is four replicas, their callers, and whoever does them harm.
type chaos struct {
	t        *testing.T
	size     chaosSize
	dice     dice
	redis    chaosStore
	replicas []*lab.Lab
	clients  []*http.Client
	logs     []*os.File
	keys     *secret.Keyring
	calls    *callers
	figures  figures

	down  [chaosReplicas]windows // a replica was killed or suspended
	store windows                // the store, or a way to it, was harmed
	stop  []func()               // callers and the person, see harm

	mu      sync.Mutex             // guards all below
	grants  map[string]int         // the newest grant of each org
	deaths  map[int][]time.Time    // when a grant's access tokens were killed
	asked   map[string][]time.Time // when somebody asked for an exchange of an org
	lost    []loss
	pending sync.WaitGroup // of askers
}

// source is the address from which replica i speaks to Salesforce, by which the
// ledger tells who sent what.
func source(i int) string { return fmt.Sprintf("127.0.1.%d", i+1) }

func newChaos(t *testing.T, redis chaosStore) *chaos {
	t.Helper()
	x := &chaos{t: t, size: sizeOf(), dice: dice{rand.New(rand.NewPCG(*chaosSeed, 11))}, redis: redis, calls: newCallers(),
		figures: figures{faults: map[string]int{}}, grants: map[string]int{}, deaths: map[int][]time.Time{}, asked: map[string][]time.Time{}}
	raw, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(keyset, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if x.keys, err = secret.ParseKeyring(raw); err != nil {
		t.Fatal(err)
	}
	o := lab.Options{Binary: binary, Dir: t.TempDir(), Orgs: chaosOrgs, Session: time.Hour,
		Env: append(slices.Clone(chaosEnv), "SALLYPORT_KEYSET="+keyset, "SALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth", "SALLYPORT_LOG_LEVEL="+*chaosSays)}
	first, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	x.replicas = []*lab.Lab{first}
	t.Cleanup(x.close)
	w := sfsim.DefaultSwitches()
	w.IntrospectRotatedIsReuse = false // what SALLYPORT_IN_DOUBT=ask says is known
	first.Sim.SetSwitches(w)
	for i := 1; i < chaosReplicas; i++ {
		p, err := first.Peer(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		x.replicas = append(x.replicas, p)
	}
	for org, g := range first.Grants {
		x.grants[org] = g.ID
	}
	for i, l := range x.replicas {
		log, err := os.Create(filepath.Join(t.ArtifactDir(), fmt.Sprintf("replica%d.log", i)))
		if err != nil {
			t.Fatal(err)
		}
		x.logs = append(x.logs, log)
		l.Tell(log)
		l.Env = append(l.Env, "SALLYPORT_STORE="+redis.url(i), "SALLYPORT_EGRESS_SOURCE_IPS="+source(i))
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.clients = append(x.clients, l.NewClient())
	}
	return x
}

func (x *chaos) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	x.rest()
	x.pending.Wait()
	errs := []error{}
	for i := len(x.replicas) - 1; i >= 0; i-- {
		errs = append(errs, x.replicas[i].Close(ctx))
	}
	for _, l := range x.logs {
		errs = append(errs, l.Close())
	}
	if err := errors.Join(errs...); err != nil {
		x.t.Error(err)
	}
}

// wait lets d pass, or the test's end come.
func (x *chaos) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-x.t.Context().Done():
	}
}

func (x *chaos) anyOrg() string { return chaosOrgs[x.dice.IntN(len(chaosOrgs))] }

// exchange has replica i exchange org's token, and returns when the request is
// at Salesforce, or doesn't come.
func (x *chaos) exchange(org string, i int) {
	arrived := make(chan struct{}, 1)
	x.replicas[0].OnTokenAnswer(func(e sfsim.Exchange) {
		if e.Phase == sfsim.PhaseReceived && e.Host == lab.Host(org) {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
	})
	x.mu.Lock()
	x.asked[org] = append(x.asked[org], time.Now())
	x.mu.Unlock()
	x.pending.Go(func() { // ends with the call, which is bounded
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _, _ = x.replicas[i].AdminCall(ctx, http.MethodPost, "/v1/orgs/"+org+"/refresh?wait=5s", nil) // whatever comes of it
	})
	select {
	case <-arrived:
	case <-time.After(time.Second):
	}
}

func (x *chaos) kill(i int) error {
	x.down[i].open()
	return x.replicas[i].Kill()
}

func (x *chaos) restart(i int) error {
	defer x.down[i].close()
	return x.replicas[i].Start(x.t.Context())
}

// killSession ends org's access tokens at Salesforce.
func (x *chaos) killSession(org string) {
	x.mu.Lock()
	g := x.grants[org]
	x.deaths[g] = append(x.deaths[g], time.Now())
	x.mu.Unlock()
	x.sim().KillGrantAccess(g)
}

// session makes access tokens that live for life.
func (x *chaos) session(life time.Duration) {
	x.t.Helper()
	err := x.sim().UpdateApp(lab.ClientID, func(a *sfsim.App) { a.JWT, a.JWTLifetime = true, life })
	if err != nil {
		x.t.Fatal(err)
	}
}

// rest stops the callers and the person.
func (x *chaos) rest() {
	for _, stop := range x.stop {
		stop()
	}
	x.stop = nil
}

// harm does one fault after another until time is up. Every fault of the
// topology has its turn before one comes again.
func (x *chaos) harm(long time.Duration) {
	x.t.Helper()
	x.session(x.size.life)
	x.stop = append(x.stop, x.keepCalling(2, 20*time.Millisecond), x.person())
	for _, org := range chaosOrgs { // from here on tokens expire
		x.killSession(org)
	}
	faults, harmed := x.faults(), x.redis.faults()
	var deck []string
	for end := time.Now().Add(long); time.Now().Before(end); {
		if len(deck) == 0 {
			deck = x.shuffle(slices.Collect(maps.Keys(harmed)), slices.Collect(maps.Keys(faults)))
		}
		name := deck[0]
		deck = deck[1:]
		x.t.Logf("%s %s", time.Now().Format("15:04:05.000"), name)
		x.figures.faults[name]++
		var err error
		if f := harmed[name]; f != nil {
			x.store.open()
			err = f(x)
			x.store.close()
		} else {
			err = faults[name](x)
		}
		if err != nil {
			x.t.Fatalf("%s: %v", name, err)
		}
		x.wait(x.dice.between(100*time.Millisecond, x.size.pause))
	}
}

// shuffle is all of the two in an order that only the seed knows, by turns from
// each. It is never empty.
func (x *chaos) shuffle(a, b []string) (deck []string) {
	only := regexp.MustCompile(*chaosOnly)
	for _, names := range [][]string{a, b} {
		slices.Sort(names)
		x.dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	for i := range max(len(a), len(b)) {
		for _, names := range [][]string{a, b} {
			if i < len(names) && only.MatchString(names[i]) {
				deck = append(deck, names[i])
			}
		}
	}
	if len(deck) == 0 {
		x.t.Fatalf("no fault is called %q", *chaosOnly)
	}
	return deck
}
