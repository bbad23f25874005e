package clients_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// expiries is how many ends of a session a client must have lived through.
const expiries = 3

// early is how much life a session may have left at its exchange: the fraction
// of SALLYPORT_REFRESH_AHEAD, and what a busy machine is late.
const early = session/5 + session/20

// exchanges are the instants at which a session that had been used was replaced.
func exchanges(l sfsim.Ledger) []time.Time {
	var out []time.Time
	for _, x := range l.Tokens {
		if x.Access.Fingerprint != "" && x.Presented.Index > 0 {
			out = append(out, x.Time)
		}
	}
	return out
}

// lived counts the exchanges between a client's first and last good rounds.
func lived(rounds []round, at []time.Time) (n int) {
	var first, last time.Time
	for _, r := range rounds {
		if r.OK && first.IsZero() {
			first = r.at
		}
		if r.OK {
			last = r.at
		}
	}
	for _, t := range at {
		if t.After(first) && t.Before(last) {
			n++
		}
	}
	return n
}

// unmet says which clients have not done enough yet.
func unmet(l *launched, ledger sfsim.Ledger) (names []string) {
	at := exchanges(ledger)
	for _, r := range l.all {
		rounds := r.view()
		good := 0
		for _, v := range rounds {
			if v.OK {
				good++
			}
		}
		if good < r.least || lived(rounds, at) < expiries {
			names = append(names, r.name)
		}
	}
	return names
}

// judge demands that nobody failed and that Salesforce saw nothing it mustn't.
func judge(t *testing.T, l *launched, after sfsim.Ledger, took time.Duration) {
	t.Helper()
	at := exchanges(after)
	var table strings.Builder
	fmt.Fprintf(&table, "%-18s %6s %6s %8s  %s\n", "client", "rounds", "failed", "expiries", "proxy")
	for _, r := range l.all {
		rounds := r.view()
		failed := 0
		for _, v := range rounds {
			if !v.OK {
				failed++
			}
		}
		fmt.Fprintf(&table, "%-18s %6d %6d %8d  %s\n", r.name, len(rounds)-failed, failed, lived(rounds, at), r.site.proxy)
		if failed > 0 || r.err != nil || len(rounds)-failed < r.least || lived(rounds, at) < expiries {
			t.Errorf("%s: %d good rounds of at least %d, %d failed, over %d expiries of at least %d; it ended with %v%s",
				r.name, len(rounds)-failed, r.least, failed, lived(rounds, at), expiries, r.err, complaints(r))
		}
	}
	t.Logf("%v\n%s", took.Round(time.Second), table.String())
	judgeLedger(t, after)
}

// complaints are the first errors of a client and what it said on stderr.
func complaints(r *running) string {
	var b strings.Builder
	n := 0
	for _, v := range r.view() {
		if !v.OK && n < 3 {
			n++
			fmt.Fprintf(&b, "\n  %s %s", v.at.Format("15:04:05.000"), v.Error)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stderr.Len() > 0 {
		fmt.Fprintf(&b, "\n  stderr: %s", lastLines(r.stderr.String(), 20))
	}
	return b.String()
}

func judgeLedger(t *testing.T, after sfsim.Ledger) {
	t.Helper()
	if err := after.Err(); err != nil {
		t.Error(err)
	}
	issued, beyond := 0, 0
	for _, x := range after.Tokens {
		if x.Access.Fingerprint == "" {
			t.Errorf("the token endpoint refused an exchange: %s %s", x.Error, x.Description)
			continue
		}
		issued++
		if x.Presented.Index > 0 && x.Left > early {
			beyond++
			t.Errorf("exchange %d came when the session had %v of its %v left", x.Seq, x.Left.Round(time.Millisecond), session)
		}
	}
	if after.Replays > 0 || len(after.Losses) > 0 {
		t.Errorf("%d replays, %d losses", after.Replays, len(after.Losses))
	}
	t.Logf("Salesforce: %d calls, %d with a dead session, %d exchanges (one is the first), %d of them beyond one per expiry, %d introspections, %d violations, %d replays",
		after.APIOK, after.APIRefused, issued, beyond, len(after.Introspections), len(after.Violations), after.Replays)
}
