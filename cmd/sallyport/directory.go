package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
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
	all bool // API calls leave by verified addresses only, too
	now atomic.Pointer[map[tokens.OrgID]listing]
}

type listing struct {
	settings  tokens.Settings
	app       salesforce.App
	transport http.RoundTripper
}

func newDirectory(out *egress.Egress, log *slog.Logger, all bool) *directory {
	d := &directory{out: out, log: log, all: all}
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
		m[tokens.OrgID(o.Key)] = listing{
			settings: tokens.Settings{Name: o.Name, Kind: o.Grant, SingleUse: salesforce.SingleUse(o.Grant), SessionTimeout: o.SessionTimeout,
				Disabled: disabled, ClientID: app.ClientID},
			app:       salesforce.App{ClientID: app.ClientID, ClientSecret: app.ClientSecret, TokenHost: login.Hostname(), TokenPort: portOf(login), Source: source},
			transport: d.out.Transport(source),
		}
	}
	d.now.Store(&m)
}

// Settings implements [tokens.Directory].
func (d *directory) Settings(org tokens.OrgID) (tokens.Settings, bool) {
	l, ok := (*d.now.Load())[org]
	l.settings.Address = addressOf(d.out, l.app.Source)
	return l.settings, ok
}

// addressOf is how Salesforce sees what leaves by source, as far as is known;
// empty for the kernel's choice.
func addressOf(out *egress.Egress, source netip.Addr) string {
	if public := out.Public(source); public.IsValid() {
		return public.String()
	}
	if source.IsValid() {
		return source.String()
	}
	return ""
}

// mayExchange is the broker's gate.
func (d *directory) mayExchange(org tokens.OrgID) error {
	err := d.out.Registered((*d.now.Load())[org].app.Source)
	if err == nil {
		return nil
	}
	return &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, Temporary: true, RetryAfter: 30 * time.Second, What: err.Error(), Err: err,
		Hint: "no refresh token leaves from an address that isn't verified: see sallyport doctor, SALLYPORT_EGRESS_ALLOWED and SALLYPORT_EGRESS_ECHO_URL"}
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
	t := (*w.d.now.Load())[w.org].transport
	var err error
	if w.d.all {
		err = w.d.mayExchange(w.org)
	}
	if t != nil && err == nil {
		return t.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close() // nothing is sent
	}
	if err != nil {
		return nil, err
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
