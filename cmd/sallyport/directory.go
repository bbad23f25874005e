package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// directory is the registry as the broker, the Salesforce client and the proxy
// ask for it: by org key, and with the address that each org leaves by. It is
// rebuilt at each change and read without a lock.
type directory struct {
	out *egress.Egress
	log *slog.Logger
	now atomic.Pointer[map[tokens.OrgID]listing]
}

type listing struct {
	settings  tokens.Settings
	app       salesforce.App
	transport http.RoundTripper
}

func newDirectory(out *egress.Egress, log *slog.Logger) *directory {
	d := &directory{out: out, log: log}
	d.now.Store(&map[tokens.OrgID]listing{})
	return d
}

// rebuild takes over s.
func (d *directory) rebuild(s *registry.Snapshot) {
	m := make(map[tokens.OrgID]listing, len(s.Orgs()))
	for _, o := range s.Orgs() {
		app := s.App(o.App)
		login, err := url.Parse(o.LoginURL)
		if app == nil || err != nil {
			continue // the registry checked both
		}
		disabled := o.Disabled || app.Disabled
		source, err := d.out.Source(o.Key, o.Egress)
		if err != nil {
			d.log.Error("an org can't be served from here: its egress address isn't one of SALLYPORT_EGRESS_SOURCE_IPS", "org", o.Name, "error", err)
			disabled = true
		}
		address := ""
		if source.IsValid() {
			address = source.String()
		}
		m[tokens.OrgID(o.Key)] = listing{
			settings: tokens.Settings{Name: o.Name, Kind: o.Grant, SingleUse: salesforce.SingleUse(o.Grant), SessionTimeout: o.SessionTimeout,
				Disabled: disabled, Address: address, ClientID: app.ClientID},
			app:       salesforce.App{ClientID: app.ClientID, ClientSecret: app.ClientSecret, TokenHost: login.Hostname(), TokenPort: portOf(login), Source: source},
			transport: d.out.Transport(source),
		}
	}
	d.now.Store(&m)
}

// Settings implements [tokens.Directory].
func (d *directory) Settings(org tokens.OrgID) (tokens.Settings, bool) {
	l, ok := (*d.now.Load())[org]
	return l.settings, ok
}

// App implements [salesforce.Apps].
func (d *directory) App(org tokens.OrgID) (salesforce.App, bool) {
	l, ok := (*d.now.Load())[org]
	return l.app, ok
}

// RoundTripper returns the way out of org, which is looked up for each request:
// an org's address may change under a tunnel, and a tunnel may know of an org a
// moment before the directory does.
func (d *directory) RoundTripper(org tokens.OrgID) http.RoundTripper { return wayOf{d, org} }

type wayOf struct {
	d   *directory
	org tokens.OrgID
}

// RoundTrip implements [http.RoundTripper].
func (w wayOf) RoundTrip(r *http.Request) (*http.Response, error) {
	if t := (*w.d.now.Load())[w.org].transport; t != nil {
		return t.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close() // nothing is sent
	}
	return nil, &tokens.Error{Org: w.org, Code: tokens.CodeUnavailable, Temporary: true, RetryAfter: time.Second,
		What: "the org was registered this moment", Hint: "call again"}
}

func portOf(u *url.URL) uint16 {
	if p, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(p)
	}
	return 443
}

// hostOf returns the host of an instance URL, empty where there is none.
func hostOf(instance string) string {
	u, err := url.Parse(instance)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// hostPort joins a host and a port.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
