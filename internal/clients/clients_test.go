package clients_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/sfsim"
)

var host = lab.Host("acme")

// TestOnTheEmbeddedStore runs all clients through one serve.
func TestOnTheEmbeddedStore(t *testing.T) {
	l := salesforce(t)
	begin(t, l)
	exercise(t, l.Sim, at(t, l))
}

// TestOnTwoReplicas runs all clients through two serves that share a Redis, half
// of them at each.
func TestOnTwoReplicas(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	seal(t, keyset)
	shared := []string{"SALLYPORT_STORE=" + redis.URL(), "SALLYPORT_KEYSET=" + keyset, "SALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth"}
	first := salesforce(t, shared...)
	second, err := first.Peer(t.TempDir())
	must(t, err)
	begin(t, first)
	begin(t, second)
	exercise(t, first.Sim, at(t, first), at(t, second))
}

// salesforce is a simulated Salesforce with short sessions, and a serve in front
// of it that isn't running yet.
func salesforce(t *testing.T, env ...string) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Options{Binary: built("sallyport"), Dir: t.TempDir(), Orgs: []string{"acme"}, Session: session,
		Env: append(env, "SALLYPORT_MAX_EXCHANGES=1000000")})
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	must(t, l.Sim.SetSessionLifetime(host, session))
	l.Sim.SetCanaries(marker, l.Secret, base64.StdEncoding.EncodeToString([]byte(lab.Client+":"+l.Secret)))
	return l
}

// begin starts a serve that also finds Salesforce's shared hosts.
func begin(t *testing.T, l *lab.Lab) {
	t.Helper()
	var resolve []string
	for _, name := range []string{host + ":443", "login.salesforce.com:443", sfsim.PubSubHost + ":443", sfsim.PubSubHost + ":7443"} {
		resolve = append(resolve, name+"="+l.SalesforceAddr())
	}
	l.Env = append(l.Env, "SALLYPORT_RESOLVE="+strings.Join(resolve, ","))
	must(t, l.Start(t.Context()))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("serve at %s said: %s", l.Proxy, lastLines(remarks(l.Said()), 40))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func at(t *testing.T, l *lab.Lab) *site {
	t.Helper()
	s := &site{proxy: l.Proxy, user: lab.Client, secret: l.Secret, ca: l.CAFile()}
	s.pretend()
	s.lay(t)
	return s
}

// exercise runs the clients, spread over the sites, and judges what they and
// Salesforce saw.
func exercise(t *testing.T, sim *sfsim.Sim, sites ...*site) {
	t.Helper()
	began := time.Now()
	all := launch(t, chosen(t), sites)
	deadline := time.Now().Add(*length + 3*time.Minute)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for time.Since(began) < *length || time.Now().Before(deadline) && len(unmet(all, sim.Ledger())) > 0 {
		<-tick.C
	}
	stop(t, all, sites)
	judge(t, all, sim.Ledger(), time.Since(began))
}

func chosen(t *testing.T) []program {
	t.Helper()
	re, err := regexp.Compile("^(?:" + *only + ")$")
	must(t, err)
	var out []program
	for _, p := range programs {
		if *only == "" || re.MatchString(p.name) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		t.Fatalf("-only=%s names no client", *only)
	}
	return out
}

// launched are programs that run until stop.
type launched struct {
	all    []*running
	ended  sync.WaitGroup
	cancel context.CancelFunc
}

func launch(t *testing.T, these []program, sites []*site) *launched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &launched{cancel: cancel}
	t.Cleanup(func() {
		cancel()
		l.ended.Wait()
	})
	for i, p := range these {
		l.ended.Add(1)
		l.all = append(l.all, start(ctx, t, p, sites[i%len(sites)], l.ended.Done))
	}
	return l
}

// stop asks the programs to end after their round, and kills those that don't.
func stop(t *testing.T, l *launched, sites []*site) {
	t.Helper()
	for _, s := range sites {
		must(t, os.WriteFile(s.stop, nil, 0o600))
	}
	ended := make(chan struct{})
	go func() { // ends with the programs
		l.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("a client is at its round for more than a minute; it is killed")
		l.cancel()
		<-ended
	}
}

// remarks are what serve said apart from its access log.
func remarks(said string) string {
	var out []string
	for line := range strings.Lines(said) {
		if !strings.Contains(line, `"msg":"request"`) || !strings.Contains(line, `"decision":"forwarded"`) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func seal(t *testing.T, file string) {
	t.Helper()
	run(t, ".", "bash", "-c", fmt.Sprintf("umask 077; %q keyset new > %q", built("sallyport"), file))
}
