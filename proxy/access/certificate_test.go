package access_test

import (
	"crypto/x509"
	"net/url"
	"testing"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

// leaf is what ByCertificate gets to see, once it was verified.
func leaf(t *testing.T, dns []string, uris ...string) []*x509.Certificate {
	t.Helper()
	c := &x509.Certificate{DNSNames: dns}
	c.Subject.CommonName = "billing.example"
	for _, s := range uris {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return []*x509.Certificate{c, {DNSNames: []string{"reader.example"}}}
}

func certified(name, pass string, entries ...string) registry.ClientChange {
	c := client(name, pass)
	c.Certificates = entries
	return c
}

const billingID = "spiffe://prod.example/ns/billing"

// certifiedWorld has billing and reader, with certificates, an old client that is disabled, and one with a secret only.
func certifiedWorld() registry.Change {
	old := certified("old", "", "dns:old.example")
	old.Disabled = true
	return world(certified("billing", "pass-billing", "dns:billing.example", billingID), certified("reader", "", "dns:reader.example"), old,
		client("plain", "pass-plain"))
}

func TestByCertificate(t *testing.T) {
	r := newRegistry(t, certifiedWorld())
	i := newIdentifier(t, access.IdentifyOptions{})
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		want  string
		code  access.Code
	}{
		{"a DNS name", leaf(t, []string{"billing.example"}), "billing", ""},
		{"a DNS name in another case", leaf(t, []string{"Billing.Example"}), "billing", ""},
		{"one of several DNS names", leaf(t, []string{"x.example", "billing.example"}), "billing", ""},
		{"a SPIFFE ID", leaf(t, nil, billingID), "billing", ""},
		{"two names of one client", leaf(t, []string{"billing.example"}, billingID), "billing", ""},
		{"the names of two clients", leaf(t, []string{"billing.example", "reader.example"}), "", access.ProxyAuthRequired},
		{"a SPIFFE ID of one and a DNS name of another", leaf(t, []string{"reader.example"}, billingID), "", access.ProxyAuthRequired},
		{"a wildcard", leaf(t, []string{"*.example"}), "", ""},
		{"a name below", leaf(t, []string{"x.billing.example"}), "", ""},
		{"a name with the root's dot", leaf(t, []string{"billing.example."}), "", ""},
		{"the common name alone", leaf(t, nil), "", ""},
		{"a SPIFFE ID below", leaf(t, nil, billingID+"/x"), "", ""},
		{"a SPIFFE ID in another case", leaf(t, nil, "spiffe://prod.example/ns/Billing"), "", ""},
		{"a SPIFFE ID with an encoded letter", leaf(t, nil, "spiffe://prod.example/ns/%62illing"), "", ""},
		{"a SPIFFE ID with a port", leaf(t, nil, "spiffe://prod.example:443/ns/billing"), "", ""},
		{"a SPIFFE ID with a query", leaf(t, nil, billingID+"?x"), "", ""},
		{"a SPIFFE ID of another scheme", leaf(t, nil, "https://prod.example/ns/billing"), "", ""},
		{"a SPIFFE ID beside another URI", leaf(t, nil, billingID, "https://prod.example/"), "", ""},
		{"a DNS name that looks like a SPIFFE ID", leaf(t, []string{billingID}), "", ""},
		{"a disabled client's name", leaf(t, []string{"old.example"}), "", ""},
		{"nobody's name", leaf(t, []string{"nobody.example"}), "", ""},
		{"no certificate", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, found, refusal := i.ByCertificate(r.Snapshot(), tt.chain)
			if found != (tt.want != "") || id.Name != tt.want || id.Local || (refusal == nil) != (tt.code == "") {
				t.Fatalf("got %q, %v, %v", id.Name, found, refusal)
			}
			if refusal != nil && refusal.Code != tt.code {
				t.Error(refusal)
			}
			if found && !i.Stands(r.Snapshot(), id) {
				t.Error("the identity doesn't stand")
			}
		})
	}
}

func TestIdentifyWithACertificate(t *testing.T) {
	r := newRegistry(t, certifiedWorld())
	i := newIdentifier(t, access.IdentifyOptions{Local: access.LocalOpen})
	billing, nobody := leaf(t, []string{"billing.example"}), leaf(t, []string{"nobody.example"})
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		creds access.Credentials
		local bool
		want  string
		code  access.Code
	}{
		{"a certificate alone", billing, access.Credentials{}, false, "billing", ""},
		{"a certificate of a client without a secret", leaf(t, []string{"reader.example"}), access.Credentials{}, false, "reader", ""},
		{"a certificate and the same client's name, to choose an org", billing, access.Credentials{Name: "billing", Org: "acme"}, false, "billing", ""},
		{"a certificate and the same client's secret", billing, creds("billing", "pass-billing"), false, "billing", ""},
		{"a certificate and another client's secret", billing, creds("plain", "pass-plain"), false, "", access.ProxyAuthRequired},
		{"a certificate and another client's name", billing, creds("plain", ""), false, "", access.ProxyAuthRequired},
		{"a certificate and a secret without a name", billing, creds("", "pass-billing"), false, "", access.ProxyAuthRequired},
		{"nobody's certificate and the right secret", nobody, creds("plain", "pass-plain"), false, "plain", ""},
		{"nobody's certificate and a wrong secret", nobody, creds("plain", "wrong"), false, "", access.ProxyAuthRequired},
		{"nobody's certificate alone", nobody, access.Credentials{}, false, "", access.ProxyAuthRequired},
		{"two clients' certificate and the right secret", leaf(t, []string{"billing.example", "reader.example"}), creds("billing", "pass-billing"), false, "", access.ProxyAuthRequired},
		{"a local caller with a certificate is that client", billing, access.Credentials{}, true, "billing", ""},
		{"no certificate and the right secret", nil, creds("billing", "pass-billing"), false, "billing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := i.Identify(t.Context(), r.Snapshot(), tt.creds, access.Caller{Chain: tt.chain, Local: tt.local})
			if code(err) != tt.code || id.Name != tt.want || id.Local {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

func TestAnIdentityFallsWithItsCertificate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*registry.Change)
		stands bool
	}{
		{"another client is added", func(c *registry.Change) { c.Clients = append(c.Clients, certified("new", "", "dns:new.example")) }, true},
		{"its secret changes", func(c *registry.Change) { c.Clients[0] = certified("billing", "another", "dns:billing.example") }, true},
		{"another of its names is taken away", func(c *registry.Change) { c.Clients[0].Certificates = []string{"dns:billing.example"} }, true},
		{"the client is disabled", func(c *registry.Change) { c.Clients[0].Disabled = true }, false},
		{"the client is pruned", func(c *registry.Change) { c.Clients, c.Prune = c.Clients[1:], true }, false},
		{"the client has no certificates any more", func(c *registry.Change) { c.Clients[0].Certificates = nil }, false},
		{"the client has another certificate", func(c *registry.Change) { c.Clients[0].Certificates = []string{"dns:other.example"} }, false},
		{"the certificate becomes another client's", func(c *registry.Change) {
			c.Clients[0].Certificates, c.Clients[1].Certificates = nil, []string{"dns:billing.example"}
		}, false},
		{"the certificate becomes another client's too", func(c *registry.Change) { c.Clients[1].Certificates = []string{"dns:spare.example"} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t, certifiedWorld())
			i := newIdentifier(t, access.IdentifyOptions{Local: access.LocalOpen})
			id, err := i.Identify(t.Context(), r.Snapshot(), access.Credentials{}, access.Caller{Chain: leaf(t, []string{"billing.example", "spare.example"})})
			if err != nil || !i.Stands(r.Snapshot(), id) {
				t.Fatalf("%+v, %v", id, err)
			}
			c := certifiedWorld()
			tt.change(&c)
			apply(t, r, c)
			if i.Stands(r.Snapshot(), id) != tt.stands {
				t.Errorf("stands: %v", !tt.stands)
			}
		})
	}
}
