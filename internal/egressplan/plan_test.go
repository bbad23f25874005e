package egressplan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/egressplan"
)

func set(t testing.TB, text string) egressplan.Set {
	t.Helper()
	s, err := egressplan.ParseAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMakeSaysWhatIsRegisteredWrongly(t *testing.T) {
	for _, c := range []struct {
		name, inUse, registered, target        string
		missing, superfluous, register, during string
	}{
		{name: "all is as it should be", inUse: "203.0.113.7,203.0.113.8", registered: "203.0.113.7-203.0.113.8",
			register: "203.0.113.7-203.0.113.8", during: "203.0.113.7-203.0.113.8"},
		{name: "neighbours become one pair", inUse: "203.0.113.9,203.0.113.7,203.0.113.8", missing: "203.0.113.7-203.0.113.9",
			register: "203.0.113.7-203.0.113.9", during: "203.0.113.7-203.0.113.9"},
		{name: "one is missing and one too many", inUse: "203.0.113.7,203.0.113.8", registered: "203.0.113.8-203.0.113.9", missing: "203.0.113.7",
			superfluous: "203.0.113.9", register: "203.0.113.7-203.0.113.8", during: "203.0.113.7-203.0.113.9"},
		{name: "a move keeps the old ones on the way", inUse: "203.0.113.7", registered: "203.0.113.7", target: "198.51.100.0/30",
			register: "198.51.100.0-198.51.100.3", during: "198.51.100.0-198.51.100.3,203.0.113.7"},
		{name: "a move to what is registered already", inUse: "203.0.113.7", registered: "203.0.113.7,198.51.100.1", target: "198.51.100.1",
			register: "198.51.100.1", during: "198.51.100.1,203.0.113.7"},
		{name: "families stay apart", inUse: "203.0.113.7,2001:db8::7", registered: "203.0.113.7", missing: "2001:db8::7",
			register: "203.0.113.7,2001:db8::7", during: "203.0.113.7,2001:db8::7"},
		{name: "what is superfluous goes first where there is no room", inUse: "203.0.113.7", registered: "203.0.113.0/24", target: "198.51.100.0/30",
			superfluous: "203.0.113.0-203.0.113.6,203.0.113.8-203.0.113.255", register: "198.51.100.0-198.51.100.3", during: "198.51.100.0-198.51.100.3,203.0.113.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := egressplan.Make(egressplan.Input{InUse: set(t, c.inUse), Registered: set(t, c.registered), Target: set(t, c.target)})
			got := []string{p.Missing.String(), p.Superfluous.String(), p.Register.String(), p.Meanwhile.String()}
			if d := cmp.Diff([]string{c.missing, c.superfluous, c.register, c.during}, got); d != "" {
				t.Errorf("missing, superfluous, register, meanwhile (-want +got):\n%s", d)
			}
			if !p.OK() {
				t.Errorf("it doesn't fit: %+v %+v", p.Fit, p.During)
			}
		})
	}
}

// scattered are n addresses of which no two are neighbours.
func scattered(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("203.0.%d.%d", i/100, 2*(i%100)))
	}
	return strings.Join(all, ",")
}

func TestMakeKnowsSalesforcesLimits(t *testing.T) {
	for _, c := range []struct {
		name, inUse, target       string
		rangesOver                int
		addressesOver, duringOver string
		advice                    string
	}{
		{name: "a /24 spends all addresses and fits", inUse: "203.0.113.0/24", addressesOver: "0", duringOver: "0"},
		{name: "one more is too many", inUse: "203.0.113.0/24,198.51.100.1", addressesOver: "1", duringOver: "1", advice: "NAT with a small prefix"},
		{name: "128 ranges fit", inUse: scattered(128), addressesOver: "0", duringOver: "0"},
		{name: "129 ranges don't", inUse: scattered(129), rangesOver: 1, addressesOver: "0", duringOver: "0", advice: "one prefix of a NAT"},
		{name: "an IPv6 /64 never fits", inUse: "2001:db8::/64", addressesOver: "18446744073709551360", duringOver: "18446744073709551360", advice: "instead of whole networks"},
		{name: "from one /25 to another fits", inUse: "203.0.113.0/25", target: "198.51.100.0/25", addressesOver: "0", duringOver: "0"},
		{name: "from one /24 to another there is no room", inUse: "203.0.113.0/24", target: "198.51.100.0/24", addressesOver: "0", duringOver: "256", advice: "give some of the old ones up first"},
		{name: "more than the room is moved in parts", inUse: "203.0.113.0/25", target: "198.51.100.0/24", addressesOver: "0", duringOver: "128", advice: "in parts of at most 128 addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := egressplan.Make(egressplan.Input{InUse: set(t, c.inUse), Target: set(t, c.target)})
			if p.Fit.RangesOver != c.rangesOver || p.Fit.AddressesOver.String() != c.addressesOver || p.During.AddressesOver.String() != c.duringOver {
				t.Errorf("the end is over by %d ranges and %v addresses, the way by %v addresses", p.Fit.RangesOver, p.Fit.AddressesOver, p.During.AddressesOver)
			}
			if !strings.Contains(p.Fit.Advice+p.During.Advice, c.advice) {
				t.Errorf("the advice is %q, %q", p.Fit.Advice, p.During.Advice)
			}
			if p.OK() != (c.advice == "") || p.OK() == (len(p.Steps) == 0) {
				t.Errorf("OK is %v with %d steps", p.OK(), len(p.Steps))
			}
		})
	}
}

func commandsOf(p egressplan.Plan) (all []string) {
	for _, s := range p.Steps {
		all = append(all, s.Commands...)
	}
	return all
}

func TestAMoveOfBoundAddressesGoesStepByStep(t *testing.T) {
	in := egressplan.Input{InUse: set(t, "203.0.113.7,203.0.113.8"), Registered: set(t, "203.0.113.7-203.0.113.8"), Target: set(t, "198.51.100.1-198.51.100.2"),
		Bound: true, Orgs: []egressplan.Placement{{"acme", "203.0.113.7"}, {"globex", "203.0.113.8"}}}
	p := egressplan.Make(in)
	want := []string{
		"sallyport egress plan --to 198.51.100.1-198.51.100.2 --text",
		"sallyport egress plan",
		"sallyport apply -f FILE",
		"sallyport egress probe --address 198.51.100.1",
		"sallyport egress probe --address 198.51.100.2",
		"sallyport apply -f FILE", "sallyport grant refresh acme",
		"sallyport apply -f FILE", "sallyport grant refresh acme",
		"sallyport egress watch acme --since 1h",
		"sallyport apply -f FILE", "sallyport egress probe",
		"sallyport egress watch --since 36h",
	}
	if d := cmp.Diff(want, commandsOf(p)); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
	var notes strings.Builder
	for _, s := range p.Steps {
		notes.WriteString(s.Do + "\n" + strings.Join(s.Notes, "\n") + "\n")
	}
	for _, need := range []string{"start 198.51.100.1, end 198.51.100.2", "Wait 10 minutes", "SALLYPORT_EGRESS_ALLOWED=198.51.100.1-198.51.100.2,203.0.113.7-203.0.113.8",
		"org globex, egress: 203.0.113.8", "SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.1,198.51.100.2,203.0.113.7,203.0.113.8", "org acme, egress: 198.51.100.2",
		"SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.1,198.51.100.2\n"} {
		if !strings.Contains(notes.String(), need) {
			t.Errorf("the steps don't say %q:\n%s", need, &notes)
		}
	}
	in.Bound = false
	if got := strings.Join(commandsOf(egressplan.Make(in)), "\n"); strings.Contains(got, "apply") || !strings.Contains(got, "egress probe --address 198.51.100.1") {
		t.Errorf("behind a NAT the commands are\n%s", got)
	}
}

func TestNothingToDoIsNoStep(t *testing.T) {
	if p := egressplan.Make(egressplan.Input{InUse: set(t, "203.0.113.7"), Registered: set(t, "203.0.113.7")}); len(p.Steps) != 0 {
		t.Errorf("steps %v", p.Steps)
	}
}

// TestNoStepLeavesAnAddressUnregistered is the promise of add-before-remove: whatever calls may leave by is on the list
// since before, but for what was missing at the start and until it is added; and Salesforce takes every list.
func TestNoStepLeavesAnAddressUnregistered(t *testing.T) {
	forMany(t, func(t *testing.T, r *rand.Rand) {
		inUse, _ := small(r)
		registered, _ := small(r)
		target, _ := small(r)
		in := egressplan.Input{InUse: inUse, Registered: registered, Target: target, Bound: r.IntN(2) == 0}
		p := egressplan.Make(in)
		if !p.OK() {
			t.Errorf("a few addresses don't fit: %+v", p.Fit)
		}
		if !slices.Equal(p.Missing, inUse.Minus(registered)) || !p.Meanwhile.Covers(p.Register) {
			t.Errorf("missing %v, meanwhile %v, register %v", p.Missing, p.Meanwhile, p.Register)
		}
		before, missing := registered, p.Missing
		for i, s := range p.Steps {
			if !before.Covers(s.Leaving.Minus(missing)) || !s.Registered.Covers(s.Leaving.Minus(missing)) {
				t.Errorf("step %d (%s): calls leave by %v, Salesforce knows %v and then %v", i+1, s.Do, s.Leaving, before, s.Registered)
			}
			if !egressplan.Measure(s.Registered).OK() {
				t.Errorf("step %d: Salesforce takes no %v", i+1, s.Registered)
			}
			before, missing = s.Registered, missing.Minus(s.Registered)
		}
		if len(p.Steps) > 0 && !slices.Equal(before, p.Register) || len(p.Steps) == 0 && !slices.Equal(registered, p.Register) {
			t.Errorf("in the end Salesforce knows %v, want %v", before, p.Register)
		}
	})
}

func TestJudgeCallsAStrangerWhatIsNotKnown(t *testing.T) {
	known := set(t, "203.0.113.7-203.0.113.9,2001:db8::7")
	for source, stranger := range map[string]bool{
		"203.0.113.8": false, "2001:db8:0::7": false, "::ffff:203.0.113.9": false,
		"203.0.113.10": true, "2001:db8::8": true, "Salesforce.com IP": true, "": true, "203.0.113.8, 198.51.100.1": true,
	} {
		if got, why := egressplan.Judge(source, known); got != stranger || got != (why != "") {
			t.Errorf("%q: stranger %v (%q), want %v", source, got, why, stranger)
		}
	}
}

func TestTheLetterNamesWhereAndWhat(t *testing.T) {
	text := egressplan.Letter{App: "acme-sync", Orgs: []string{"acme-prod"}, Add: set(t, "198.51.100.1-198.51.100.2"), Keep: set(t, "203.0.113.7"), Remove: set(t, "203.0.113.9")}.Text()
	for _, need := range []string{"Setup, External Client App Manager", `"Enforce Refresh Token IP Allowlist"`, "198.51.100.1 ", "End IP Address: 198.51.100.2", "edit and save at least one entry",
		"005387022", "128 ranges and 256 addresses", "acme-sync in acme-prod", "203.0.113.9"} {
		if !strings.Contains(text, need) {
			t.Errorf("the letter doesn't say %q:\n%s", need, text)
		}
	}
}
