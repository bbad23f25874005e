package netlab_test

import (
	"strings"
	"testing"
)

// Two replicas behind two addresses: an org is served only by the replica that
// has its address; all that Salesforce sees of it comes from there; nothing
// leaves either machine by another address, though the kernel would choose one.
func TestAnOrgLeavesByItsOneAddressWhoeverIsAsked(t *testing.T) {
	d := deploy(t, "198.51.100.11-198.51.100.12", "acme", "globex")
	d.resources(map[string]string{"acme": "198.51.100.11", "globex": "198.51.100.12"})
	ma := newMachine(t, "198.51.100.21/24", "198.51.100.11/24")
	mb := newMachine(t, "198.51.100.22/24", "198.51.100.12/24")
	ma.allow("198.51.100.11")
	mb.allow("198.51.100.12")
	a := d.start(ma, salesforce4, "SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.11")
	b := d.start(mb, salesforce4, "SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.12")
	for range 3 {
		a.serves("acme")
		b.serves("globex")
		a.refuses("globex", "198.51.100.12 alone")
		b.refuses("acme", "198.51.100.11 alone")
	}
	d.seen("acme", "198.51.100.11", 1)
	d.seen("globex", "198.51.100.12", 1)
	if out, _ := b.try("doctor"); !strings.Contains(out, "org acme leaves by 198.51.100.11 alone") {
		t.Errorf("doctor doesn't tell which orgs are another replica's:\n%s", out)
	}
	// An exchange that the wrong replica is asked for is made by the right one.
	b.run("grant", "refresh", "acme")
	a.serves("acme")
	d.seen("acme", "198.51.100.11", 2)
	// So is a revocation by whoever can; the other says where.
	if out, err := b.try("grant", "revoke", "acme", "--yes"); err == nil || !strings.Contains(out, "198.51.100.11 alone") {
		t.Errorf("a revocation from the wrong address: %v %s", err, out)
	}
	a.run("grant", "revoke", "acme", "--yes")
	if asked, revoked := d.seen("acme", "198.51.100.11", 2); asked == 0 || revoked == 0 {
		t.Errorf("Salesforce saw %d introspections and %d revocations, want some of each", asked, revoked)
	}
	for _, m := range []*machine{ma, mb} {
		if n := m.strays(); n != "0" {
			t.Errorf("%s packets left by another address", n)
		}
	}
}

// A person moves an org to the other replica's address: that takes one
// exchange, which leaves from there, and is told and traced.
func TestAMoveToAnotherAddressIsAPersonsAndIsToldOnce(t *testing.T) {
	d := deploy(t, "198.51.100.11-198.51.100.12", "acme")
	d.resources(map[string]string{"acme": "198.51.100.11"})
	ma := newMachine(t, "198.51.100.21/24", "198.51.100.11/24")
	mb := newMachine(t, "198.51.100.22/24", "198.51.100.12/24")
	a := d.start(ma, salesforce4, "SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.11")
	b := d.start(mb, salesforce4, "SALLYPORT_EGRESS_SOURCE_IPS=198.51.100.12")
	a.serves("acme")
	d.seen("acme", "198.51.100.11", 1)
	a.run("apply", "-f", d.resources(map[string]string{"acme": "198.51.100.12"}))
	b.told("an org moves to another egress address")
	ma.allow() // nothing of it leaves from there any more
	mb.allow("198.51.100.12")
	for range 3 {
		b.serves("acme") // the session was locked to the old address
		a.refuses("acme", "198.51.100.12 alone")
	}
	tokens := d.sim.Ledger().Tokens
	if n := len(tokens); n != 2 || tokens[1].Source.String() != "198.51.100.12" {
		t.Errorf("the move took %d token requests, the last from %v; want one, from the new address", n-1, tokens[n-1].Source)
	}
	if n := mb.strays(); n != "0" {
		t.Errorf("%s packets left by another address", n)
	}
}

// A replica behind a NAT knows its address by the echo alone, and an org may be
// pinned to that. When the NAT takes another address, no refresh token leaves.
func TestBehindANATAnOrgIsPinnedToWhatSalesforceSees(t *testing.T) {
	d := deploy(t, "198.51.100.13", "acme", "globex")
	d.resources(map[string]string{"acme": "198.51.100.13"})
	nat := bare(t)
	nat.cable("out", "internet", "198.51.100.13/24", "198.51.100.99/24")
	m := newMachine(t) // only inside
	wire(t, m, nat)
	nat.masquerade("198.51.100.13")
	r := d.start(m, salesforce4)
	r.serves("acme")
	r.serves("globex")
	d.seen("acme", "198.51.100.13", 1)
	d.seen("globex", "198.51.100.13", 1)
	nat.masquerade("198.51.100.99")
	if out, err := r.try("egress", "probe"); err == nil || !strings.Contains(out, "198.51.100.99") {
		t.Errorf("the probe says %v %s", err, out)
	}
	r.refuses("acme", "198.51.100.13 alone")
	if out, err := r.try("grant", "refresh", "globex"); err == nil || !strings.Contains(out, "198.51.100.99, which is not in SALLYPORT_EGRESS_ALLOWED") {
		t.Errorf("an exchange from an address that isn't registered: %v %s", err, out)
	}
	d.seen("acme", "198.51.100.13", 1)
	d.seen("globex", "198.51.100.13", 1)
	nat.masquerade("198.51.100.13") // mended, without a restart
	r.run("egress", "probe")
	r.serves("acme")
	r.run("grant", "refresh", "globex")
	d.seen("globex", "198.51.100.13", 2)
}

func TestIPv6(t *testing.T) {
	d := deploy(t, "2001:db8::11-2001:db8::12", "acme", "globex")
	d.resources(map[string]string{"acme": "2001:db8::11", "globex": "2001:db8::12"})
	m := newMachine(t, "2001:db8::21/64", "2001:db8::11/64", "2001:db8::12/64")
	m.allow("2001:db8::11", "2001:db8::12")
	r := d.start(m, salesforce6, "SALLYPORT_EGRESS_SOURCE_IPS=2001:db8::11,2001:db8::12")
	r.serves("acme")
	r.serves("globex")
	r.run("grant", "refresh", "acme")
	d.seen("acme", "2001:db8::11", 2)
	d.seen("globex", "2001:db8::12", 1)
	if n := m.strays(); n != "0" {
		t.Errorf("%s packets left by another address", n)
	}
}

// Through an upstream proxy everything arrives from the proxy, and nothing goes
// past it.
func TestAnUpstreamProxyIsTheOnlyWayOut(t *testing.T) {
	d := deploy(t, "198.51.100.31", "acme")
	d.resources(nil)
	pm := newMachine(t, "198.51.100.31/24")
	pm.forward(t, "198.51.100.31:8080")
	m := newMachine(t, "198.51.100.21/24")
	m.allowTo("198.51.100.31")
	r := d.start(m, salesforce4, "SALLYPORT_EGRESS_PROXY=http://198.51.100.31:8080")
	r.serves("acme")
	r.run("grant", "refresh", "acme")
	r.run("grant", "revoke", "acme", "--yes")
	if _, revoked := d.seen("acme", "198.51.100.31", 2); revoked == 0 {
		t.Error("Salesforce saw no revocation")
	}
	if n := m.strays(); n != "0" {
		t.Errorf("%s packets went past the proxy", n)
	}
}
