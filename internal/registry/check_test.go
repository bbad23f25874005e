package registry_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

func TestApplyRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*registry.Change)
		path string
		says string
	}{
		{"a name with upper case", func(c *registry.Change) { c.Apps[0].Name = "Sync" }, "apps[0].name", "is no name"},
		{"a name that begins with a dash", func(c *registry.Change) { c.Clients[0].Name = "-a" }, "clients[0].name", "is no name"},
		{"a name of 64 characters", func(c *registry.Change) { c.Clients[0].Name = strings.Repeat("a", 64) }, "clients[0].name", "is no name"},
		{"no name", func(c *registry.Change) { c.Clients[0].Name = "" }, "clients[0].name", "has no name"},
		{"two apps of one name", func(c *registry.Change) { c.Apps = append(c.Apps, app("sync")) }, "apps[1].name", "named twice"},
		{"two orgs of one name", func(c *registry.Change) { c.Orgs[1].Name = "acme" }, "orgs[1].name", "named twice"},
		{"two clients of one name", func(c *registry.Change) { c.Clients = append(c.Clients, client("billing")) }, "clients[1].name", "named twice"},
		{"an app without an id", func(c *registry.Change) { c.Apps[0].ClientID = "" }, "apps[0].clientId", "no clientId"},
		{"a new app without a secret", func(c *registry.Change) { c.Apps[0].ClientSecret = secret.Text{} }, "apps[0].clientSecret", "is new"},
		{"a client secret with a line break", func(c *registry.Change) { c.Apps[0].ClientSecret = secret.NewText("a\nb") }, "apps[0].clientSecret", "control character"},
		{"an org without an app", func(c *registry.Change) { c.Orgs[0].App = "" }, "orgs[0].app", "names no app"},
		{"an org with an unknown app", func(c *registry.Change) { c.Orgs[0].App = "other" }, "orgs[0].app", "there is no app"},
		{"a client with an unknown org", func(c *registry.Change) { c.Clients[0].Orgs = []string{"other"} }, "clients[0].orgs[0]", "there is no org"},
		{"an org twice in a client", func(c *registry.Change) { c.Clients[0].Orgs = []string{"acme", "acme"} }, "clients[0].orgs[1]", "stands twice"},
		{"no login URL", func(c *registry.Change) { c.Orgs[0].LoginURL = "" }, "orgs[0].loginUrl", "no loginUrl"},
		{"a login URL without a scheme", func(c *registry.Change) { c.Orgs[0].LoginURL = "acme.my.salesforce.com" }, "orgs[0].loginUrl", "it is no URL"},
		{"a login URL that doesn't parse", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://a b" }, "orgs[0].loginUrl", "it is no URL"},
		{"a login URL by http", func(c *registry.Change) { c.Orgs[0].LoginURL = "http://acme.my.salesforce.com" }, "orgs[0].loginUrl", "https only"},
		{"a login URL with a path", func(c *registry.Change) { c.Orgs[0].LoginURL += "/services" }, "orgs[0].loginUrl", "has a path"},
		{"a login URL with a fragment", func(c *registry.Change) { c.Orgs[0].LoginURL += "#x" }, "orgs[0].loginUrl", "a fragment"},
		{"a login URL with a password", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://u:p@acme.my.salesforce.com" }, "orgs[0].loginUrl", "user name or password"},
		{"a login URL with a port out of range", func(c *registry.Change) {
			c.Orgs[0].LoginURL += ":70000"
			c.Orgs[0].ForeignHosts = true
		}, "orgs[0].loginUrl", "1 to 65535"},
		{"a login URL with a port", func(c *registry.Change) { c.Orgs[0].LoginURL += ":8443" }, "orgs[0].loginUrl", "it has a port"},
		{"a login URL outside Salesforce", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://evil.example" }, "orgs[0].loginUrl", "not under a Salesforce domain"},
		{"a login URL that only ends like Salesforce", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://evilsalesforce.com" }, "orgs[0].loginUrl", "not under a Salesforce domain"},
		{"a login URL that only begins like Salesforce", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://a.salesforce.com.evil.example" }, "orgs[0].loginUrl", "not under a Salesforce domain"},
		{"the bare suffix", func(c *registry.Change) { c.Orgs[0].LoginURL = "https://salesforce.com" }, "orgs[0].loginUrl", "not under a Salesforce domain"},
		{"a login URL of an address", func(c *registry.Change) {
			c.Orgs[0].LoginURL = "https://127.0.0.1"
			c.Orgs[0].ForeignHosts = true
		}, "orgs[0].loginUrl", "IP address"},
		{"a host outside Salesforce", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"evil.example"} }, "orgs[0].hosts[0]", "not under a Salesforce domain"},
		{"a host pattern", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"*.my.salesforce.com"} }, "orgs[0].hosts[0]", "is a pattern"},
		{"a host in upper case", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"Acme.my.salesforce.com"} }, "orgs[0].hosts[0]", "upper-case"},
		{"a host with a port", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"acme.my.salesforce.com:443"} }, "orgs[0].hosts[0]", "has a port"},
		{"a host that is a URL", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"https://acme.my.salesforce.com"} }, "orgs[0].hosts[0]", "is a URL"},
		{"a host that ends with a dot", func(c *registry.Change) { c.Orgs[0].Hosts = []string{"acme.my.salesforce.com."} }, "orgs[0].hosts[0]", "no host name"},
		{"an unknown grant", func(c *registry.Change) { c.Orgs[0].Grant = "password" }, "orgs[0].grant", "is no grant"},
		{"client_credentials on login", func(c *registry.Change) {
			c.Orgs[0].Grant, c.Orgs[0].LoginURL = registry.GrantClientCredentials, "https://login.salesforce.com"
		}, "orgs[0].loginUrl", "My Domain"},
		{"client_credentials on test, foreign hosts allowed", func(c *registry.Change) {
			c.Orgs[0].Grant, c.Orgs[0].LoginURL, c.Orgs[0].ForeignHosts = registry.GrantClientCredentials, "https://test.salesforce.com", true
		}, "orgs[0].loginUrl", "My Domain"},
		{"client_credentials on Setup's host", func(c *registry.Change) {
			c.Orgs[0].Grant, c.Orgs[0].LoginURL = registry.GrantClientCredentials, "https://acme.my.salesforce-setup.com"
		}, "orgs[0].loginUrl", "My Domain"},
		{"client_credentials with a refresh token", func(c *registry.Change) {
			c.Orgs[0].Grant, c.Orgs[0].Seed = registry.GrantClientCredentials, secret.NewText("5Aep")
		}, "orgs[0].refreshToken", "has no refresh token"},
		{"two orgs with one refresh token", func(c *registry.Change) {
			c.Orgs[0].Seed, c.Orgs[1].Seed = secret.NewText("5Aep861"), secret.NewText("5Aep861")
		}, "orgs[1].refreshToken", "one grant is one org"},
		{"a session timeout under a second", func(c *registry.Change) { c.Orgs[0].SessionTimeout = time.Millisecond }, "orgs[0].sessionTimeout", "shorter than 1s"},
		{"an egress address that is none", func(c *registry.Change) { c.Orgs[0].Egress = netip.MustParseAddr("0.0.0.0") }, "orgs[0].egress", "no address"},
		{"an org that is renamed from itself", func(c *registry.Change) { c.Orgs[0].PreviousName = "acme" }, "orgs[0].previousName", "already has the name"},
		{"an org that is renamed from one in the change", func(c *registry.Change) { c.Orgs[0].PreviousName = "umbrella" }, "orgs[0].previousName", "in the same change"},
		{"a method in lower case", func(c *registry.Change) { c.Clients[0].Methods = []string{"get"} }, "clients[0].methods[0]", "upper-case"},
		{"a method with a space", func(c *registry.Change) { c.Clients[0].Methods = []string{"GET "} }, "clients[0].methods[0]", "no HTTP method"},
		{"a relative path", func(c *registry.Change) { c.Clients[0].Paths = []string{"services/"} }, "clients[0].paths[0]", "begins with /"},
		{"a path with dots", func(c *registry.Change) { c.Clients[0].Paths = []string{"/services/../"} }, "clients[0].paths[0]", "/../"},
		{"a path with two slashes", func(c *registry.Change) { c.Clients[0].Paths = []string{"/services//data"} }, "clients[0].paths[0]", "no //"},
		{"a path that is encoded", func(c *registry.Change) { c.Clients[0].Paths = []string{"/services%2fdata"} }, "clients[0].paths[0]", "decoded"},
		{"an empty list of methods", func(c *registry.Change) { c.Clients[0].Methods = []string{} }, "clients[0].methods", "is empty"},
		{"an empty list of paths", func(c *registry.Change) { c.Clients[0].Paths = []string{} }, "clients[0].paths", "is empty"},
		{"an empty list of hosts", func(c *registry.Change) { c.Orgs[0].Hosts = []string{} }, "orgs[0].hosts", "is empty"},
		{"a certificate by its common name", func(c *registry.Change) { c.Clients[0].Certificates = []string{"cn:billing"} }, "clients[0].certificates[0]", "write dns:NAME or spiffe://"},
		{"a certificate by a pattern", func(c *registry.Change) { c.Clients[0].Certificates = []string{"dns:*.a.example"} }, "clients[0].certificates[0]", "is a pattern"},
		{"a certificate in upper case", func(c *registry.Change) { c.Clients[0].Certificates = []string{"dns:A.example"} }, "clients[0].certificates[0]", `write "a.example"`},
		{"a certificate of a whole trust domain", func(c *registry.Change) { c.Clients[0].Certificates = []string{"spiffe://prod.example"} }, "clients[0].certificates[0]", "has no path"},
		{"a certificate twice", func(c *registry.Change) { c.Clients[0].Certificates = []string{"dns:a.example", "dns:a.example"} }, "clients[0].certificates[1]", "stands twice"},
		{"two clients with one certificate", func(c *registry.Change) {
			c.Clients = append(c.Clients, client("reader"))
			c.Clients[0].Certificates, c.Clients[1].Certificates = []string{"dns:a.example"}, []string{"dns:b.example", "dns:a.example"}
		}, "clients[1].certificates[1]", `the clients "billing" and "reader" both have "dns:a.example"`},
		{"a passthrough pattern with a port out of range", func(c *registry.Change) { c.Clients[0].Passthrough = &[]string{"a.example:0"} }, "clients[0].passthrough[0]", "1 to 65535"},
		{"a passthrough pattern under Salesforce", func(c *registry.Change) { c.Clients[0].Passthrough = &[]string{"*.salesforce.com"} }, "clients[0].passthrough[0]", "never tunnelled"},
		{"a rate below zero", func(c *registry.Change) { c.Clients[0].Limits.RequestsPerSecond = -1 }, "clients[0].limits.requestsPerSecond", "above 0"},
		{"a concurrency below zero", func(c *registry.Change) { c.Clients[0].Limits.Concurrent = -1 }, "clients[0].limits.concurrent", "above 0"},
		{"an unknown mode", func(c *registry.Change) { c.Clients[0].Mode = "off" }, "clients[0].mode", "is no mode"},
		{"an unknown allowance", func(c *registry.Change) { c.Clients[0].Allow = []string{"everything"} }, "clients[0].allow[0]", "is unknown"},
		{"an unknown trust in traces", func(c *registry.Change) { c.Clients[0].Traces = "yes" }, "clients[0].traces", "is unknown"},
		{"a secret with a line break", func(c *registry.Change) { c.Clients[0].Secret = secret.NewText("a\n") }, "clients[0].secret", "control character"},
		{"a secret of 2 KiB", func(c *registry.Change) { c.Clients[0].Secret = secret.NewText(strings.Repeat("x", 2048)) }, "clients[0].secret", "longer than"},
		{"a rehomed org that doesn't exist", func(c *registry.Change) { c.Rehome = []string{"other"} }, "rehome[0]", "there is no org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &memStore{}
			r := open(t, registry.Options{Store: store})
			c := base()
			tt.edit(&c)
			_, err := r.Apply(t.Context(), c)
			found := false
			for _, f := range faults(t, err) {
				found = found || f.Path == tt.path && strings.Contains(f.Message, tt.says)
			}
			if !found {
				t.Errorf("got %v, want a fault at %s that says %q", err, tt.path, tt.says)
			}
			if store.saves != 0 || len(r.Snapshot().Apps()) != 0 {
				t.Error("something was applied")
			}
		})
	}
}

func TestApplyReportsAllFaultsWithTheirLines(t *testing.T) {
	c := base()
	c.Source, c.Lines = "sp.yaml", map[string]int{"apps[0]": 2, "orgs[0]": 5, "orgs[0].app": 7, "clients[0].orgs": 12}
	c.Apps[0].ClientID = ""
	c.Orgs[0].App = "nope"
	c.Clients[0].Orgs = []string{"nowhere"}
	_, err := open(t, registry.Options{}).Apply(t.Context(), c)
	got := map[string]int{}
	for _, f := range faults(t, err) {
		got[f.Path] = f.Line
	}
	want := map[string]int{"apps[0].clientId": 2, "orgs[0].app": 7, "clients[0].orgs[0]": 12}
	if len(got) != len(want) || got["apps[0].clientId"] != 2 || got["orgs[0].app"] != 7 || got["clients[0].orgs[0]"] != 12 {
		t.Errorf("got %v, want %v", got, want)
	}
	if !strings.Contains(err.Error(), "sp.yaml:7: orgs[0].app: there is no app \"nope\"") {
		t.Errorf("the error doesn't name file and line: %v", err)
	}
}

func TestForeignHostsAreTakenWhereTheOrgAllowsThem(t *testing.T) {
	c := base()
	c.Orgs[0].LoginURL, c.Orgs[0].ForeignHosts = "https://Sim.test:8443/", true
	r := open(t, registry.Options{})
	apply(t, r, c)
	o := r.Snapshot().Org("acme")
	if o.LoginURL != "https://sim.test:8443" || len(r.Snapshot().OrgsForHost("sim.test")) != 1 {
		t.Errorf("got %q, claimed %v", o.LoginURL, r.Snapshot().OrgsForHost("sim.test"))
	}
}

func TestCheckPassthrough(t *testing.T) {
	for _, p := range []string{"*", "*:8443", "a.example", "*.a.example:443", "localhost:9000"} {
		if err := registry.CheckPassthrough(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", ":443", "a.*", "**.example", "a.example:", "a.example:+1", "a.example:65536", "10.0.0.1",
		"[::1]:443", "https://a.example", "A.example", "login.salesforce.com", "salesforce.com", "*.my.salesforce.com:443"} {
		if registry.CheckPassthrough(p) == nil {
			t.Errorf("%q was taken", p)
		}
	}
}
