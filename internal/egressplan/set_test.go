package egressplan_test

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/egressplan"
)

func TestParseReadsWhatOperatorsWrite(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7":                   "203.0.113.7",
		" 203.0.113.7 - 203.0.113.9 ":   "203.0.113.7-203.0.113.9",
		"203.0.113.7-203.0.113.7":       "203.0.113.7",
		"203.0.113.0/28":                "203.0.113.0-203.0.113.15",
		"203.0.113.9/28":                "203.0.113.0-203.0.113.15",
		"2001:db8::/126":                "2001:db8::-2001:db8::3",
		"::ffff:203.0.113.7":            "203.0.113.7",
		"0.0.0.0/0":                     "0.0.0.0-255.255.255.255",
		"2001:db8::1-2001:db8::1:0:0":   "2001:db8::1-2001:db8::1:0:0",
		"::ffff:1.2.3.4-::ffff:1.2.3.5": "1.2.3.4-1.2.3.5",
	} {
		if r, err := egressplan.Parse(text); err != nil || r.String() != want {
			t.Errorf("%q is %v, %v; want %s", text, r, err, want)
		}
	}
	for _, text := range []string{"", "acme", "203.0.113.9-203.0.113.7", "203.0.113.7-2001:db8::1", "203.0.113.7/33", "fe80::1%eth0", "::ffff:1.2.3.0/120", "1.2.3.4-", "1.2.3.4-5"} {
		if r, err := egressplan.Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, r)
		}
	}
}

func TestCountKnowsNumbersThatNoMachineHolds(t *testing.T) {
	whole, err := egressplan.ParseAll("::/0")
	if err != nil {
		t.Fatal(err)
	}
	if want := new(big.Int).Lsh(big.NewInt(1), 128); whole.Count().Cmp(want) != 0 {
		t.Errorf("all of IPv6 is %v addresses, want %v", whole.Count(), want)
	}
}

func TestSetsAtTheEdgesOfAFamily(t *testing.T) {
	edge, err := egressplan.ParseAll("255.255.255.254-255.255.255.255,::-::1,0.0.0.0-0.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if got := edge.String(); got != "0.0.0.0-0.0.0.1,255.255.255.254-255.255.255.255,::-::1" {
		t.Errorf("the families are mixed: %s", got)
	}
	if got := edge.Minus(edge); len(got) != 0 {
		t.Errorf("a set less itself is %v", got)
	}
	if got := slices.Collect(edge.All()); len(got) != 6 {
		t.Errorf("%v, want 6 addresses", got)
	}
}

// corners are where ranges of the properties begin.
var corners = []netip.Addr{netip.MustParseAddr("203.0.113.0"), netip.MustParseAddr("255.255.255.240"), netip.MustParseAddr("2001:db8::")}

// forMany runs a property on many random inputs, each named by its seed.
func forMany(t *testing.T, property func(t *testing.T, r *rand.Rand)) {
	for seed := range uint64(1000) {
		property(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("it was seed %d", seed)
		}
	}
}

// small is a set of addresses of a few families' corners, and the same as a map.
func small(r *rand.Rand) (egressplan.Set, map[netip.Addr]bool) {
	in := map[netip.Addr]bool{}
	var ranges []egressplan.Range
	for range r.IntN(6) {
		first := corners[r.IntN(len(corners))]
		from := r.IntN(12)
		n := 1 + r.IntN(4)
		for range from {
			first = first.Next()
		}
		last := first
		for i := range n {
			in[last] = true
			if i < n-1 {
				last = last.Next()
			}
		}
		ranges = append(ranges, egressplan.Range{From: first, To: last})
	}
	return egressplan.NewSet(ranges...), in
}

func same(t *testing.T, what string, s egressplan.Set, want map[netip.Addr]bool) {
	got := slices.Collect(s.All())
	if len(got) != len(want) || s.Count().Int64() != int64(len(want)) {
		t.Errorf("%s: %v has %d addresses (Count says %v), want %d", what, s, len(got), s.Count(), len(want))
	}
	for _, a := range got {
		if !want[a] || !s.Contains(a) {
			t.Errorf("%s: %v is in %v and should not be", what, a, s)
		}
	}
	for i := 1; i < len(s); i++ {
		if s[i-1].To.Next() == s[i].From || s[i].From.Compare(s[i-1].To) <= 0 {
			t.Errorf("%s: %v isn't the fewest ranges", what, s)
		}
	}
}

func TestSetsAreSets(t *testing.T) {
	forMany(t, func(t *testing.T, r *rand.Rand) {
		s, in := small(r)
		u, other := small(r)
		both, only := map[netip.Addr]bool{}, map[netip.Addr]bool{}
		covers := true
		for a := range in {
			both[a] = true
			if !other[a] {
				only[a] = true
			}
		}
		for a := range other {
			both[a] = true
			covers = covers && in[a]
		}
		same(t, "itself", s, in)
		same(t, "union", s.Union(u), both)
		same(t, "minus", s.Minus(u), only)
		if s.Covers(u) != covers {
			t.Errorf("%v covers %v: %v", s, u, s.Covers(u))
		}
		again, err := egressplan.ParseAll(s.String())
		if err != nil || !slices.Equal(again, s) {
			t.Errorf("%v is read back as %v, %v", s, again, err)
		}
	})
}
