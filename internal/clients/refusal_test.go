package clients_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// What a client may take to tell its user, and what it may ask of serve
// meanwhile. jsforce, and what is built on it, tries a GET six times in 15 s.
const (
	patience = 3 * time.Minute // on a busy machine; the slowest, the sf CLI, needs half a minute
	requests = 20
)

var (
	reauthRequired = []*regexp.Regexp{regexp.MustCompile("(?i)reauth_required"), regexp.MustCompile("grant authorize acme")}
	notAllowed     = []*regexp.Regexp{regexp.MustCompile("(?i)request_not_allowed"), regexp.MustCompile("this client may not reach the path /")}
)

// TestOnRefusalEachClientShowsTheMessage has each client meet what sallyport
// itself refuses: its user must see what is wrong and what to do, soon, and no
// client may go on asking. Nothing of it may reach Salesforce.
func TestOnRefusalEachClientShowsTheMessage(t *testing.T) {
	l := salesforce(t)
	these := chosen(t)
	log := admit(t, l, these)
	begin(t, l)
	s := at(t, l)

	homes := map[string]string{}
	for _, p := range these {
		homes[p.name] = t.TempDir()
		if p.signsIn { // while it can
			if said := once(t, p, s.of(p.name), homes[p.name]); !strings.Contains(said, `"ok":true`) {
				t.Fatalf("%s can't sign in: %s", p.name, said)
			}
		}
	}
	t.Run("a path that the client may not use", func(t *testing.T) {
		for _, p := range these {
			want := notAllowed
			if p.signsIn { // @salesforce/core tells the message of a sign-in that failed, not its code.
				want = want[1:]
			}
			refused(t, p, s.of("narrow-"+p.name), t.TempDir(), log, "request_not_allowed", want)
		}
	})

	mourn(t, l)
	before := l.Sim.Ledger()
	t.Run("an org that a person must authorise again", func(t *testing.T) {
		for _, p := range these {
			refused(t, p, s.of(p.name), homes[p.name], log, "reauth_required", reauthRequired)
		}
	})
	after := l.Sim.Ledger()
	if len(after.Tokens) != len(before.Tokens) || after.APIOK != before.APIOK || after.APIRefused != before.APIRefused {
		t.Errorf("Salesforce got %d token requests and %d calls for an org whose grant is known to be dead",
			len(after.Tokens)-len(before.Tokens), after.APIOK+after.APIRefused-before.APIOK-before.APIRefused)
	}
}

// refused runs a client once, in parallel with others, and demands that it shows
// what it was told and asks no more.
func refused(t *testing.T, p program, s *site, home string, log *accessLog, code string, want []*regexp.Regexp) {
	t.Run(p.name, func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		said := once(t, p, s, home)
		took := time.Since(began).Round(100 * time.Millisecond)
		for _, re := range want {
			if !re.MatchString(said) {
				t.Errorf("its user doesn't see %q", re)
			}
		}
		told, all := 0, 0
		soon(t, func() bool {
			told, all = log.of(s.user, code)
			return told > 0
		})
		if told == 0 || all > requests {
			t.Errorf("it was told %s %d times, by %d requests of at most %d", code, told, all, requests)
		}
		t.Logf("in %v and %d requests, %d refused: %s", took, all, told, said)
	})
}

// admit adds a client for each program to what serve is told, and one that may
// use no path that the program does, and follows the access log.
func admit(t *testing.T, l *lab.Lab, these []program) *accessLog {
	t.Helper()
	var more strings.Builder
	for _, p := range these {
		fmt.Fprintf(&more, "  - {name: %s, secret: env:LAB_PROXY_SECRET, orgs: [acme]}\n", p.name)
		fmt.Fprintf(&more, "  - {name: narrow-%s, secret: env:LAB_PROXY_SECRET, orgs: [acme], paths: [/services/apexrest/nothing/]}\n", p.name)
	}
	appendTo(t, resources(l), more.String())
	log := &accessLog{}
	l.Tell(log)
	return log
}

// mourn has the customer revoke the grant and end its sessions, and waits until
// serve knows.
func mourn(t *testing.T, l *lab.Lab) {
	t.Helper()
	grant := l.Grants["acme"]
	must(t, l.Sim.RevokeGrant(grant.ID))
	l.Sim.KillGrantAccess(grant.ID)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := l.NewClient()
	for again := time.NewTicker(200 * time.Millisecond); ; <-again.C {
		seen, err := l.Call(ctx, c, "acme")
		must(t, err)
		if seen.Status == http.StatusBadGateway && seen.Error == "reauth_required" {
			again.Stop()
			return
		}
	}
}
