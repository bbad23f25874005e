package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/secret"
)

// fleet starts n replicas of serve on the store at url.
func fleet(t *testing.T, n int, url string, o lab.Options) []*lab.Lab {
	t.Helper()
	keys, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(keyset, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Binary, o.Dir = binary, t.TempDir()
	o.Env = append(o.Env, "SALLYPORT_STORE="+url, "SALLYPORT_KEYSET="+keyset, "SALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth")
	first, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	all := []*lab.Lab{first}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var errs []error
		for i := len(all) - 1; i >= 0; i-- {
			errs = append(errs, all[i].Close(ctx))
		}
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	for range n - 1 {
		p, err := first.Peer(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for _, l := range all {
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A thousand callers on four replicas that need a token at once cause one
// exchange, and each replica can tell how.
func TestAThousandCallersOnFourReplicasNeedOneExchange(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	all := fleet(t, 4, redis.URL(), lab.Options{Orgs: []string{"acme"}, Session: time.Hour})
	var wg sync.WaitGroup
	for _, l := range all {
		c := l.NewClient()
		for range 250 {
			wg.Go(func() { mustCall(t, l, c) })
		}
	}
	wg.Wait()
	expectLedger(t, all[0], 1)
	for i := range 3 { // killed sessions, each under all callers
		all[0].Sim.KillGrantAccess(all[0].Grants["acme"].ID)
		for _, l := range all {
			c := l.NewClient()
			for range 50 {
				wg.Go(func() { mustCall(t, l, c) })
			}
		}
		wg.Wait()
		expectLedger(t, all[0], 2+i)
	}
	status, told, err := all[3].AdminCall(t.Context(), http.MethodGet, "/v1/exchanges?org=acme", nil)
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if n := strings.Count(string(told), `"outcome":"issued"`); n != 4 {
		t.Errorf("the history that every replica shows has %d exchanges, want 4:\n%s", n, told)
	}
}

// expectLedger checks what Salesforce saw at its token endpoint.
func expectLedger(t *testing.T, l *lab.Lab, issued int) {
	t.Helper()
	got, violations := 0, []string{}
	ledger := l.Sim.Ledger()
	for _, r := range ledger.Tokens {
		if r.GrantType == "refresh_token" {
			got++
		}
	}
	for _, v := range ledger.Violations {
		violations = append(violations, fmt.Sprintf("%s: %s", v.Kind, v.Detail))
	}
	if got != issued || len(violations) > 0 {
		t.Errorf("Salesforce saw %d exchanges, want %d; violations: %s", got, issued, violations)
	}
}

// A deployment that outgrew its embedded store takes its grants along.
func TestStoreMove(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	l, err := lab.New(lab.Options{Binary: binary, Dir: t.TempDir(), Orgs: []string{"acme", "umbrella"}, Session: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	closed := false
	defer func() {
		if !closed {
			if err := l.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	call := func() {
		t.Helper()
		for _, org := range []string{"acme", "umbrella"} {
			if seen, err := l.Call(ctx, l.NewClient(), org); err != nil || seen.Status != http.StatusOK {
				t.Fatalf("%s: %d %s %v; serve said: %s", org, seen.Status, seen.Body, err, l.Said())
			}
		}
	}
	call()
	if err := l.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	l.Env = append(l.Env, "SALLYPORT_STORE="+redis.URL(), "SALLYPORT_KEYSET="+filepath.Join(l.StateDir(), "keyset.json"), "SALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth")
	if err := l.Start(ctx); err == nil || !strings.Contains(err.Error(), "sallyport store move") {
		t.Fatalf("serve on a shared store left grants behind: %v", err)
	}
	cmd := exec.CommandContext(ctx, binary, "store", "move")
	cmd.Env = l.Env
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2 grants moved") {
		t.Fatalf("%v: %s", err, out)
	}
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	call()
	for _, org := range []string{"acme", "umbrella"} {
		l.Sim.KillGrantAccess(l.Grants[org].ID)
	}
	call()
	expectLedger(t, l, 4)
	// A second replica finds all of it, and needs nothing but the store.
	p, err := l.Peer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p.Env = append(p.Env, "SALLYPORT_STORE="+redis.URL(), "SALLYPORT_KEYSET="+filepath.Join(l.StateDir(), "keyset.json"), "SALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth")
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, org := range []string{"acme", "umbrella"} {
		mustCall(t, p, p.NewClient())
		l.Sim.KillGrantAccess(l.Grants[org].ID)
	}
	mustCall(t, p, p.NewClient())
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	expectLedger(t, l, 5)
	closed = true
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A store that was emptied while nobody ran is given the CA again that clients
// trust, and the grants.
func TestAnEmptiedStoreKeepsTheCAThatClientsTrust(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	l := fleet(t, 1, redis.URL(), lab.Options{Orgs: []string{"acme"}, Session: time.Hour, Env: []string{
		"SALLYPORT_EXCHANGE_TIMEOUT=1s", "SALLYPORT_TAKEOVER_AFTER=2s", "SALLYPORT_SETTLING_TIME=2s"}})[0]
	c := l.NewClient() // which trusts what it was given at first
	mustCall(t, l, c)
	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := redis.FlushAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCall(t, l, c)
	expectLedger(t, l, 1)
}
