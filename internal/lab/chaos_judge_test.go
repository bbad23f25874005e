package lab_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// judge asks Salesforce's ledger, and tells the figures.
func (x *chaos) judge() {
	x.t.Helper()
	x.pending.Wait()
	l := x.sim().Ledger()
	if err := l.Err(); err != nil || l.Replays != 0 {
		x.t.Errorf("%d replays: %v", l.Replays, err)
	}
	x.onceEach(l)
	x.account(l)
	did := 0
	for _, n := range x.figures.faults {
		did += n
	}
	if n := len(x.figures.unexplained); n > did {
		x.t.Errorf("%d exchanges that nobody asked for, and %d faults: %v", n, did, x.figures.unexplained)
	}
	avoidable := 0
	for _, v := range x.lost {
		if v.avoidable {
			avoidable++
			x.t.Errorf("the grant of %s was lost (%s) and needn't have been: %s", v.org, v.reason, v.why)
		}
	}
	for i, f := range x.calls.avoided {
		if i == 10 {
			x.t.Errorf("and %d more", len(x.calls.avoided)-i)
			break
		}
		x.t.Errorf("a call failed and needn't have: %s", f)
	}
	x.t.Log("\n" + x.table(l, avoidable))
}

// onceEach checks that no token was sent twice, but where Salesforce said in
// between that it was live.
func (x *chaos) onceEach(l sfsim.Ledger) {
	x.t.Helper()
	last := map[string]time.Time{}
	for _, r := range l.Tokens {
		if r.GrantType != "refresh_token" {
			continue
		}
		token := r.Presented.Fingerprint
		if before, sent := last[token]; sent && !slices.ContainsFunc(l.Introspections, func(i sfsim.Introspection) bool {
			return i.Token.Fingerprint == token && i.Active && i.Time.After(before) && i.Time.Before(r.Time)
		}) {
			x.t.Errorf("token %s of grant %d was sent at %s and again at %s, and nobody asked in between", token, r.Presented.Grant, before, r.Time)
		}
		last[token] = r.Time
	}
}

// account finds for each exchange what asked for it.
func (x *chaos) account(l sfsim.Ledger) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.figures.exchanges = map[string]int{}
	orgs := map[string]string{}
	for org := range x.asked {
		orgs[org+".my.salesforce.com"] = org
	}
	issued, deaths, asked := map[int]time.Time{}, map[int]int{}, map[string]int{}
	for _, r := range l.Tokens {
		if r.Access.Fingerprint == "" {
			continue
		}
		g, org := r.Access.Grant, orgs[r.Host]
		before, ok := issued[g]
		issued[g] = r.Time
		died := x.deaths[g][deaths[g]:]
		wished := x.asked[org][asked[org]:]
		past := func(all []time.Time) (n int) {
			for n < len(all) && all[n].Before(r.Time) {
				n++
			}
			return n
		}
		nd, nw := past(died), past(wished)
		deaths[g] += nd
		asked[org] += nw
		switch {
		case !ok:
			x.figures.exchanges["the first of an authorisation"]++
		case nd > 0:
			x.figures.exchanges["a killed session"]++
		case nw > 0:
			x.figures.exchanges["asked for by a person"]++
		case r.Time.Sub(before) > x.size.life*6/10:
			x.figures.exchanges["an expiry"]++
		default:
			x.figures.exchanges["forced by a fault"]++
			x.figures.unexplained = append(x.figures.unexplained, fmt.Sprintf("%s grant %d, %s after the one before", r.Time.Format("15:04:05.000"), g, r.Time.Sub(before).Round(time.Millisecond)))
		}
	}
}

func (x *chaos) table(l sfsim.Ledger, avoidable int) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-58s %s\n", name, fmt.Sprintf(format, args...))
	}
	f := x.figures
	n := 0
	for _, k := range slices.Sorted(maps.Keys(f.faults)) {
		n += f.faults[k]
		row("  "+k, "%d", f.faults[k])
	}
	row("faults", "%d, seed %d", n, *chaosSeed)
	row("exchanges", "%d", l.Exchanges)
	for _, k := range slices.Sorted(maps.Keys(f.exchanges)) {
		row("  "+k, "%d", f.exchanges[k])
	}
	for _, u := range f.unexplained {
		row("    ", "%s", u)
	}
	row("replays", "%d", l.Replays)
	row("losses", "%d", len(x.lost))
	row("  that were avoidable", "%d", avoidable)
	why := map[string]int{}
	for _, v := range x.lost {
		why[v.why]++
	}
	for _, k := range slices.Sorted(maps.Keys(why)) {
		row("  "+k, "%d", why[k])
	}
	failed := len(x.calls.avoided)
	for _, c := range x.calls.failed {
		failed += c
	}
	row("calls", "%d", x.calls.calls)
	row("failed calls", "%d %v", failed, x.calls.failed)
	row("  that were avoidable", "%d", len(x.calls.avoided))
	row("longest wait of a caller", "%s (%s)", x.calls.slow.Round(time.Millisecond), x.calls.slowAs)
	row("from the last fault to every grant ready", "%s", f.convergedIn.Round(time.Millisecond))
	if f.crowds > 0 {
		row("sessions killed under 1,000 callers, one exchange each", "%d", f.crowds)
	}
	if c := len(f.handovers); c > 0 {
		row("commit to first use at another replica, median", "%s of %d", f.handovers[c/2].Round(time.Microsecond), c)
		row("  the fastest tenth", "%s", f.handovers[c/10].Round(time.Microsecond))
		row("  p99", "%s", f.handovers[c*99/100].Round(time.Microsecond))
		row("callers who waited for a token in steady state", "%d of %d (%d exchanges)", f.steadyWaits, f.steadyCalls, f.steadyExpiry)
	}
	return b.String()
}
