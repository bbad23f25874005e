package access_test

import (
	"testing"

	"github.com/sallyport/sallyport/proxy/access"
)

func TestParseTarget(t *testing.T) {
	for authority, want := range map[string]string{
		"ACME.my.salesforce.com:443":  "acme.my.salesforce.com:443",
		"[::1]:443":                   "[::1]:443",
		"acme.my.salesforce.com.:443": "acme.my.salesforce.com:443",
		"acme..:443":                  "",
		".:443":                       "",
		"acme.my.salesforce.com":      "",
		"acme:0":                      "",
		"acme:65536":                  "",
		"acme:x":                      "",
		":443":                        "",
		"":                            "",
		"user@acme:443":               "",
		"acme/x:443":                  "",
	} {
		got, refusal := access.ParseTarget(authority)
		if want == "" {
			if refusal == nil || refusal.Code != access.BadRequest {
				t.Errorf("%q: %v, %v", authority, got, refusal)
			}
		} else if refusal != nil || got.String() != want {
			t.Errorf("%q: %v, %v", authority, got, refusal)
		}
	}
}

func TestTargetNames(t *testing.T) {
	https := access.Target{Host: "acme.my.salesforce.com", Port: 443}
	pubsub := access.Target{Host: "api.pubsub.salesforce.com", Port: 7443}
	for _, tt := range []struct {
		t         access.Target
		authority string
		want      bool
	}{
		{https, "acme.my.salesforce.com", true},
		{https, "ACME.my.salesforce.com:443", true},
		{https, "acme.my.salesforce.com:8443", false},
		{https, "acme.my.salesforce.com:", false},
		{https, "acme.my.salesforce.com:99999999999999999999", false},
		{https, "acme.my.salesforce.com.", false},
		{https, "evil.example", false},
		{https, "acme.my.salesforce.com:443x", false},
		{https, "", false},
		{pubsub, "api.pubsub.salesforce.com", false},
		{pubsub, "api.pubsub.salesforce.com:7443", true},
	} {
		if got := tt.t.Names(tt.authority); got != tt.want {
			t.Errorf("%v names %q: %v", tt.t, tt.authority, got)
		}
	}
}

func TestConnect(t *testing.T) {
	own := client("own", "", "acme")
	own.Passthrough = &[]string{"only.example:8443"}
	foreign := org("sim")
	foreign.LoginURL, foreign.ForeignHosts = "https://sim.example:8443", true
	w := world(client("billing", "", "acme"), own)
	w.Orgs = append(w.Orgs, foreign)
	s := newRegistry(t, w).Snapshot()
	p := access.Passthrough{
		Patterns: []string{"pypi.example", "*.npm.example", "*:8080", "*.salesforce.com"},
		Never:    []string{"proxy.example:8080"},
	}
	for _, tt := range []struct {
		name, client, target string
		route                access.Route
		code                 access.Code
	}{
		{"a claimed host is intercepted", "billing", "acme.my.salesforce.com:443", access.Intercept, ""},
		{"whatever the port", "billing", "acme.my.salesforce.com:22", access.Intercept, ""},
		{"a claim wins over a pattern", "billing", "sim.example:8080", access.Intercept, ""},
		{"another org's host too: its refusal comes inside", "billing", "umbrella.my.salesforce.com:443", access.Intercept, ""},
		{"a shared host is claimed", "billing", "login.salesforce.com:443", access.Intercept, ""},
		{"a host under Salesforce that nobody claims is refused", "billing", "other.my.salesforce.com:443", 0, access.HostNotAllowed},
		{"whatever the pattern", "billing", "other.my.salesforce.com:8080", 0, access.HostNotAllowed},
		{"a pattern", "billing", "pypi.example:443", access.Tunnel, ""},
		{"a pattern's port is 443", "billing", "pypi.example:444", 0, access.HostNotAllowed},
		{"a pattern for hosts below", "billing", "a.b.npm.example:443", access.Tunnel, ""},
		{"but not for the host itself", "billing", "npm.example:443", 0, access.HostNotAllowed},
		{"any host on a port", "billing", "any.example:8080", access.Tunnel, ""},
		{"an IP address", "billing", "203.0.113.7:8080", 0, access.HostNotAllowed},
		{"an IPv6 address", "billing", "[2001:db8::1]:8080", 0, access.HostNotAllowed},
		{"our own listener", "billing", "proxy.example:8080", 0, access.HostNotAllowed},
		{"a host that nothing names", "billing", "www.bank.example:443", 0, access.HostNotAllowed},
		{"a client's own list", "own", "only.example:8443", access.Tunnel, ""},
		{"replaces the global one", "own", "pypi.example:443", 0, access.HostNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, refusal := access.ParseTarget(tt.target)
			if refusal != nil {
				t.Fatal(refusal)
			}
			route, refusal := p.Connect(s, access.Identity{Name: tt.client}, target)
			if route != tt.route || refusal != nil && refusal.Code != tt.code || (refusal != nil) != (tt.code != "") {
				t.Errorf("%v, %v", route, refusal)
			}
		})
	}
}

func TestChooseOrg(t *testing.T) {
	foreign := org("sim")
	foreign.LoginURL, foreign.ForeignHosts = "https://sim.example:8443", true
	off := org("off")
	off.Disabled = true
	w := world(client("billing", "", "acme", "umbrella"), client("both", "", "acme", "acme-too"), client("sim", "", "sim", "off"))
	w.Orgs = append(w.Orgs, foreign, off)
	s := newRegistry(t, w).Snapshot()
	local := access.Identity{Local: true}
	for _, tt := range []struct {
		name   string
		id     access.Identity
		target string
		wanted []string
		org    string
		code   access.Code
	}{
		{"the host decides", access.Identity{Name: "billing"}, "umbrella.my.salesforce.com:443", nil, "umbrella", ""},
		{"among the client's orgs", access.Identity{Name: "billing"}, "acme.my.salesforce.com:443", nil, "acme", ""},
		{"two are left", access.Identity{Name: "both"}, "acme.my.salesforce.com:443", nil, "", access.OrgAmbiguous},
		{"the proxy user chooses", access.Identity{Name: "both"}, "acme.my.salesforce.com:443", []string{"acme-too", "", ""}, "acme-too", ""},
		{"the header chooses", access.Identity{Name: "both"}, "acme.my.salesforce.com:443", []string{"", "", "acme"}, "acme", ""},
		{"both agree", access.Identity{Name: "both"}, "acme.my.salesforce.com:443", []string{"acme", "", "acme"}, "acme", ""},
		{"both differ", access.Identity{Name: "both"}, "acme.my.salesforce.com:443", []string{"acme", "", "acme-too"}, "", access.OrgAmbiguous},
		{"a named org on another host", access.Identity{Name: "billing"}, "acme.my.salesforce.com:443", []string{"umbrella"}, "", access.OrgNotAllowed},
		{"a named org that isn't the client's", access.Identity{Name: "billing"}, "acme.my.salesforce.com:443", []string{"acme-too"}, "", access.OrgNotAllowed},
		{"no org of the client", access.Identity{Name: "sim"}, "acme.my.salesforce.com:443", nil, "", access.OrgNotAllowed},
		{"a disabled org", access.Identity{Name: "sim"}, "off.my.salesforce.com:443", nil, "", access.OrgNotAllowed},
		{"a client that is gone", access.Identity{Name: "gone"}, "acme.my.salesforce.com:443", nil, "", access.OrgNotAllowed},
		{"a shared host and several orgs", access.Identity{Name: "billing"}, "login.salesforce.com:443", nil, "", access.OrgAmbiguous},
		{"a shared host and a choice", access.Identity{Name: "billing"}, "login.salesforce.com:443", []string{"acme"}, "acme", ""},
		{"a local caller may use all", local, "umbrella.my.salesforce.com:443", nil, "umbrella", ""},
		{"but must choose too", local, "acme.my.salesforce.com:443", nil, "", access.OrgAmbiguous},
		{"another port", access.Identity{Name: "billing"}, "acme.my.salesforce.com:8443", nil, "", access.HostNotAllowed},
		{"7443 on My Domain", access.Identity{Name: "billing"}, "acme.my.salesforce.com:7443", nil, "", access.HostNotAllowed},
		{"7443 for Pub/Sub", access.Identity{Name: "billing"}, "api.pubsub.salesforce.com:7443", []string{"acme"}, "acme", ""},
		{"the login URL's port of a foreign host", access.Identity{Name: "sim"}, "sim.example:8443", nil, "sim", ""},
		{"another port of a foreign host", access.Identity{Name: "sim"}, "sim.example:9443", nil, "", access.HostNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, refusal := access.ParseTarget(tt.target)
			if refusal != nil {
				t.Fatal(refusal)
			}
			o, refusal := access.ChooseOrg(s, tt.id, target, tt.wanted...)
			if refusal != nil && refusal.Code != tt.code || (refusal != nil) != (tt.code != "") || o != nil && o.Name != tt.org {
				t.Errorf("%+v, %v", o, refusal)
			}
		})
	}
}

func TestChoosingAnOrgCostsNoAllocation(t *testing.T) {
	s := newRegistry(t, world(client("billing", "", "acme"))).Snapshot()
	target := access.Target{Host: "acme.my.salesforce.com", Port: 443}
	id := access.Identity{Name: "billing"}
	if n := testing.AllocsPerRun(100, func() {
		if _, r := access.ChooseOrg(s, id, target, "acme", "", ""); r != nil || !target.Names("acme.my.salesforce.com") {
			t.Error(r)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
