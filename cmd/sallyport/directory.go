package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// directory is the registry as the broker, the Salesforce client and the proxy
// ask for it: by org key, and with the address that each org leaves by. It is
// rebuilt at each change and read without a lock.
type directory struct {
	out    *egress.Egress
	log    *slog.Logger
	tracer trace.Tracer
	all    bool // API calls leave by verified addresses only, too
	now    atomic.Pointer[map[tokens.OrgID]listing]
}

type listing struct {
	settings tokens.Settings // without the Address
	app      salesforce.App  // without the Source
	key      string
	pin      netip.Addr // that it must leave by
}

func newDirectory(out *egress.Egress, log *slog.Logger, tracer trace.Tracer, all bool) *directory {
	d := &directory{out: out, log: log, tracer: tracer, all: all}
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
		l := listing{
			settings: tokens.Settings{Name: o.Name, Kind: o.Grant, SingleUse: salesforce.SingleUse(o.Grant), SessionTimeout: o.SessionTimeout,
				Disabled: disabled, Pinned: o.Egress.IsValid(), ClientID: app.ClientID},
			app: salesforce.App{ClientID: app.ClientID, ClientSecret: app.ClientSecret, TokenHost: login.Hostname(), TokenPort: portOf(login)},
			key: o.Key, pin: o.Egress,
		}
		d.moved(tokens.OrgID(o.Key), l)
		m[tokens.OrgID(o.Key)] = l
	}
	d.now.Store(&m)
}

// moved tells when a person moves an org to another address.
func (d *directory) moved(org tokens.OrgID, to listing) {
	from, known := (*d.now.Load())[org]
	if !known || from.pin == to.pin {
		return
	}
	was, now := pinName(from.pin), pinName(to.pin)
	d.log.Warn("an org moves to another egress address", "org", org, "from", was, "to", now)
	_, span := d.tracer.Start(context.Background(), attr.SpanEgressMove, trace.WithNewRoot(),
		trace.WithAttributes(attr.Org.String(string(org)), attr.EgressFrom.String(was), attr.EgressTo.String(now)))
	span.End()
}

func pinName(a netip.Addr) string {
	if !a.IsValid() {
		return "the proxy's choice"
	}
	return a.String()
}

// source is the local address that l leaves by. It fails where l is pinned to an
// address that this process doesn't have, as far as it knows now.
func (d *directory) source(l listing) (netip.Addr, error) {
	source, err := d.out.Source(l.key, l.pin)
	if err != nil {
		org := tokens.OrgID(l.key)
		return source, &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, Temporary: true, RetryAfter: 30 * time.Second, Err: err,
			What: "the org leaves by " + l.pin.String() + " alone, and this replica doesn't: " + err.Error(),
			Hint: "send its calls to the replica that has the address, or move the org: change its egress in the resources file"}
	}
	return source, nil
}

// Settings implements [tokens.Directory].
func (d *directory) Settings(org tokens.OrgID) (tokens.Settings, bool) {
	l, ok := (*d.now.Load())[org]
	source, err := d.source(l)
	if err != nil {
		source = l.pin
	}
	l.settings.Address = addressOf(d.out, source)
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
	source, err := d.source((*d.now.Load())[org])
	if err != nil {
		return err
	}
	if err = d.out.Registered(source); err == nil {
		return nil
	}
	return &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, Temporary: true, RetryAfter: 30 * time.Second, What: err.Error(), Err: err,
		Hint: "no refresh token leaves from an address that isn't verified: see sallyport doctor, SALLYPORT_EGRESS_ALLOWED and SALLYPORT_EGRESS_ECHO_URL"}
}

// App implements [salesforce.Apps]. Where the org can't leave from here, its
// Source is one by which the egress lets nothing out.
func (d *directory) App(org tokens.OrgID) (salesforce.App, bool) {
	l, ok := (*d.now.Load())[org]
	var err error
	if l.app.Source, err = d.source(l); err != nil {
		l.app.Source = l.pin
	}
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
	l, known := (*w.d.now.Load())[w.org]
	source, err := w.d.source(l)
	if err == nil && w.d.all {
		err = w.d.mayExchange(w.org)
	}
	if known && err == nil {
		return w.d.out.Transport(source).RoundTrip(r)
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
