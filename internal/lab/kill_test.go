package lab_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// kills is how often a real process is killed; they are shared by workers.
const (
	kills   = 200
	workers = 5
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-lab-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", binary, "github.com/sallyport/sallyport/cmd/sallyport")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building sallyport: %v\n%s", err, out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// TestKilledAtARandomInstantOfAnExchange kills a real serve with kill -9 while
// it exchanges, reads its journal, starts it again, and asks Salesforce's ledger:
// no token was sent twice, and what had reached the journal is not lost.
func TestKilledAtARandomInstantOfAnExchange(t *testing.T) {
	var journalled, inDoubt, lost, idle atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				k := newKilling(t, uint64(w))
				for range kills / workers {
					if t.Failed() {
						return
					}
					switch k.once() {
					case "journalled":
						journalled.Add(1)
					case "in doubt":
						inDoubt.Add(1)
					case "lost":
						lost.Add(1)
					default:
						idle.Add(1)
					}
				}
				k.check()
			})
		}
	})
	t.Logf("%d kills: %d answers were in the journal and none of them was lost; %d doubts were found unspent; %d answers were lost before their fsync; %d hit no open exchange",
		kills, journalled.Load(), inDoubt.Load(), lost.Load(), idle.Load())
	if journalled.Load() < kills/20 || inDoubt.Load()+lost.Load() < kills/20 {
		t.Error("the kills don't hit the instants that matter")
	}
}

// killing is one lab whose serve is killed again and again.
type killing struct {
	*lab.Lab
	t   *testing.T
	rnd *rand.Rand
	c   *http.Client
}

func newKilling(t *testing.T, seed uint64) *killing {
	t.Helper()
	l, err := lab.New(lab.Options{Binary: binary, Dir: t.TempDir(), Orgs: []string{"acme"}, Session: time.Hour, Env: []string{
		"SALLYPORT_EXCHANGE_TIMEOUT=1s", "SALLYPORT_TAKEOVER_AFTER=2s", "SALLYPORT_IN_DOUBT=ask", "SALLYPORT_IN_DOUBT_PAUSE=100ms",
		"SALLYPORT_MAX_EXCHANGES=100000", "SALLYPORT_LOG_LEVEL=warn",
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := sfsim.DefaultSwitches()
	w.IntrospectRotatedIsReuse = false // what SALLYPORT_IN_DOUBT=ask says is known
	l.Sim.SetSwitches(w)
	k := &killing{Lab: l, t: t, rnd: rand.New(rand.NewPCG(seed, 7))}
	k.start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *killing) start() {
	k.t.Helper()
	if err := k.Start(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	k.c = k.NewClient()
	k.call()
}

// call must be served: an access token lives all the while.
func (k *killing) call() {
	k.t.Helper()
	if seen, err := k.Call(k.t.Context(), k.c, "acme"); err != nil || seen.Status != http.StatusOK {
		k.t.Fatalf("a call failed: %d %s %v\n%s", seen.Status, seen.Body, err, k.Said())
	}
}

// current is the newest refresh token that Salesforce has given for the grant.
func (k *killing) ledger() (sfsim.Ledger, sfsim.GrantState) {
	l := k.Sim.Ledger()
	return l, l.Grants[len(l.Grants)-1]
}

// once kills serve within an exchange and starts it again. It says what the
// kill had met.
func (k *killing) once() string {
	_, before := k.ledger()
	k.Sim.Inject(sfsim.DelayBefore(time.Duration(k.rnd.IntN(3)) * time.Millisecond))
	k.Sim.Inject(sfsim.DelayAfter(time.Duration(k.rnd.IntN(3)) * time.Millisecond))
	arrived := make(chan struct{}, 1)
	k.OnTokenAnswer(func(e sfsim.Exchange) {
		if e.Phase == sfsim.PhaseReceived {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
	})
	gone := make(chan struct{})
	go func() { // ends when serve is killed
		defer close(gone)
		_, _, _ = k.AdminCall(k.t.Context(), http.MethodPost, "/v1/orgs/acme/refresh?wait=5s", nil) // cut by the kill
	}()
	// One kill in four is anywhere from the wish on, the others from when the
	// request has arrived.
	if k.rnd.IntN(4) > 0 {
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			k.t.Fatalf("no exchange came\n%s", k.Said())
		}
		<-time.After(time.Duration(k.rnd.IntN(9_000)) * time.Microsecond)
	} else {
		<-time.After(time.Duration(k.rnd.IntN(40_000)) * time.Microsecond)
	}
	if err := k.Kill(); err != nil {
		k.t.Fatal(err)
	}
	<-gone
	answer := k.journalled()
	_, after := k.ledger()
	k.start()
	want := "idle"
	switch rotated := after.Exchanges > before.Exchanges; {
	case answer == after.Current.Fingerprint && rotated:
		want = "journalled"
	case rotated:
		want = "lost"
	case k.state().State != "ready":
		want = "in doubt"
	}
	k.settled(want)
	return want
}

func (k *killing) state() lab.Grant {
	k.t.Helper()
	g, err := k.Grant(k.t.Context(), "acme")
	if err != nil {
		k.t.Fatal(err)
	}
	return g
}

// settled waits until the grant is what it must become, and authorises again
// where the answer was lost before it was anywhere.
func (k *killing) settled(what string) {
	k.t.Helper()
	want := "ready"
	if what == "lost" {
		want = "reauth_required"
	}
	for end := time.Now().Add(20 * time.Second); k.state().State != want; {
		if what == "lost" && k.state().State == "ready" {
			return // committed after all: the store took it before the journal was read
		}
		if time.Now().After(end) {
			k.t.Fatalf("%s: the grant is %+v, want %s\n%s", what, k.state(), want, k.Said())
		}
		k.call()
		<-time.After(50 * time.Millisecond)
	}
	if what != "lost" {
		return
	}
	if r := k.state().Reason; r != "lost" {
		k.t.Fatalf("reason %q, want lost", r)
	}
	k.call() // the access token serves on
	g, err := k.Sim.Authorize(lab.ClientID, lab.Host("acme"), "")
	if err != nil {
		k.t.Fatal(err)
	}
	status, body, err := k.AdminCall(k.t.Context(), http.MethodPut, "/v1/orgs/acme/grant", []byte(`{"refreshToken":"`+g.RefreshToken+`"}`))
	if err != nil || status >= 300 {
		k.t.Fatalf("the new authorisation: %d %s %v", status, body, err)
	}
}

// journalled is the fingerprint of the newest refresh token that the journal
// of the killed process holds, read from a copy.
func (k *killing) journalled() string {
	k.t.Helper()
	dir := k.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "journal"), os.DirFS(filepath.Join(k.StateDir(), "journal"))); err != nil {
		k.t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(k.StateDir(), "keyset.json"))
	if err != nil {
		k.t.Fatal(err)
	}
	keys, err := secret.ParseKeyring(raw)
	if err != nil {
		k.t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "journal"), Sealer: keys})
	if err != nil {
		k.t.Fatal(err)
	}
	defer j.Close()
	newest, at := "", tokens.Place{}
	for e, err := range j.Entries() {
		if err != nil {
			k.t.Fatal(err)
		}
		if e.Kind != tokens.EntryIntent || len(e.Answer) == 0 || e.Base.Compare(at) < 0 {
			continue
		}
		if issue, err := salesforce.Parse(e.Answer); err == nil {
			newest, at = sfsim.Fingerprint(issue.Refresh.Reveal()), e.Base
		}
	}
	return newest
}

func (k *killing) check() {
	k.t.Helper()
	l, _ := k.ledger()
	if l.Replays != 0 || len(l.Violations) != 0 {
		k.t.Errorf("%d replays, violations %v", l.Replays, l.Violations)
	}
	sent := map[string]int{}
	for _, r := range l.Tokens {
		if r.GrantType == "refresh_token" {
			sent[r.Presented.Fingerprint]++
		}
	}
	for token, n := range sent {
		asked := 0
		for _, i := range l.Introspections {
			if i.Token.Fingerprint == token && i.Active {
				asked++
			}
		}
		if n > 1 && asked == 0 {
			k.t.Errorf("token %s was sent %d times and Salesforce never said that it was unspent", token, n)
		}
	}
}
