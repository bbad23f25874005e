package egress_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/egress"
)

func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestOrgsKeepTheirSourceAddress(t *testing.T) {
	const orgs = 3000
	three := addrs("203.0.113.1", "203.0.113.2", "203.0.113.3")
	choose := func(set []netip.Addr) map[string]netip.Addr {
		e := newEgress(t, egress.Options{SourceAddresses: set})
		out := make(map[string]netip.Addr)
		for i := range orgs {
			org := fmt.Sprintf("org-%d", i)
			a, err := e.Source(org, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			out[org] = a
		}
		return out
	}
	before := choose(three)
	reversed := slices.Clone(three)
	slices.Reverse(reversed)
	if !cmp.Equal(before, choose(reversed), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Error("the order of the addresses matters")
	}
	count := make(map[netip.Addr]int)
	for _, a := range before {
		count[a]++
	}
	for _, a := range three {
		if count[a] < orgs/3*85/100 || count[a] > orgs/3*115/100 {
			t.Errorf("%v has %d of %d orgs", a, count[a], orgs)
		}
	}
	for org, a := range choose(three[:2]) {
		if before[org] != three[2] && before[org] != a {
			t.Fatalf("%s moved from %v to %v, though its address stayed", org, before[org], a)
		}
	}
	// The assignment is part of the contract between versions: these must not change.
	want := map[string]netip.Addr{"org-0": three[0], "org-1": three[2], "org-2": three[2]}
	for org, a := range want {
		if before[org] != a {
			t.Errorf("%s leaves from %v instead of %v", org, before[org], a)
		}
	}
}

func TestSourceOfAPinnedOrg(t *testing.T) {
	e := newEgress(t, egress.Options{SourceAddresses: addrs("203.0.113.1", "203.0.113.2")})
	for _, pin := range addrs("203.0.113.2", "::ffff:203.0.113.2") {
		if a, err := e.Source("acme", pin); err != nil || a != netip.MustParseAddr("203.0.113.2") {
			t.Errorf("Source = %v, %v", a, err)
		}
	}
	_, err := e.Source("acme", netip.MustParseAddr("203.0.113.9"))
	if s := wantAs[*egress.SourceError](t, err); s.Addr != netip.MustParseAddr("203.0.113.9") {
		t.Errorf("error: %v", err)
	}
}

func TestWithoutSourceAddressesTheKernelChooses(t *testing.T) {
	e := newEgress(t, egress.Options{})
	if a, err := e.Source("acme", netip.Addr{}); err != nil || a.IsValid() {
		t.Errorf("Source = %v, %v", a, err)
	}
	if _, err := e.Source("acme", netip.MustParseAddr("203.0.113.9")); err == nil {
		t.Error("a pinned address that isn't configured was taken")
	}
}

func TestConnectionsLeaveFromTheirSourceAddress(t *testing.T) {
	s := serve(t, nil)
	set := addrs("127.0.0.2", "127.0.0.3")
	e := newEgress(t, egress.Options{SourceAddresses: set, TunnelAddresses: addrs("127.0.0.4"), Allow: loopback, Roots: s.roots})
	for _, a := range set {
		if _, err := get(t, e.Transport(a), s.URL); err != nil {
			t.Fatal(err)
		}
		c, err := e.DialTLS(t.Context(), a, "127.0.0.1", s.port)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	c, err := e.DialTunnel(t.Context(), e.TunnelSource("example.com"), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Close() // Every connection was seen by then.
	want := []string{"127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.4"}
	if diff := cmp.Diff(want, s.peerHosts()); diff != "" {
		t.Errorf("the server saw (-want +got):\n%s", diff)
	}
}

func TestNothingLeavesFromAnAddressThatIsNotConfigured(t *testing.T) {
	s := serve(t, nil)
	e := newEgress(t, egress.Options{SourceAddresses: addrs("127.0.0.2"), TunnelAddresses: addrs("127.0.0.4"), Allow: loopback, Roots: s.roots})
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.4")} {
		_, err := get(t, e.Transport(a), s.URL)
		wantAs[*egress.SourceError](t, err)
		_, err = e.DialTLS(t.Context(), a, "127.0.0.1", s.port)
		wantAs[*egress.SourceError](t, err)
		if egress.Classify(err) != egress.ClassSource || !egress.NotSent(err) {
			t.Errorf("%v: class %q", err, egress.Classify(err))
		}
	}
	_, err := e.DialTunnel(t.Context(), netip.Addr{}, s.addr)
	wantAs[*egress.SourceError](t, err)
	if got := s.peerHosts(); len(got) != 0 {
		t.Errorf("the server saw %v", got)
	}
}

func TestASourceAddressThatTheMachineLacksIsNamed(t *testing.T) {
	a := netip.MustParseAddr("203.0.113.77")
	e := newEgress(t, egress.Options{SourceAddresses: []netip.Addr{a}, Allow: loopback})
	_, err := e.DialTunnel(t.Context(), a, dead(t))
	if s := wantAs[*egress.SourceError](t, err); s.Addr != a {
		t.Errorf("error: %v", err)
	}
}
