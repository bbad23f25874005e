// Package egress is the one way out to the Internet. It keeps each org on one source address, guards what an outbound
// connection may reach on the address that it really connects to, goes through an upstream proxy when told to, and
// hands out two kinds of connection: pooled ones for API calls ([Egress.Transport]) and fresh ones that know whether
// anything was sent, for token requests ([Egress.DialTLS]).
//
// It reads nothing from the environment: no HTTP_PROXY, no NO_PROXY.
package egress

import (
	"crypto/tls"
	"net/netip"
	"net/url"
	"slices"
)

// Egress makes every outbound connection. It is made by [New] and safe for concurrent use. [Egress.Close] releases
// what it keeps.
type Egress struct {
	opts    Options
	guard   guard
	resolve map[string]netip.AddrPort // "host:port", lower case.
	proxy   *upstreamProxy            // nil: none.
	sources []source
	tunnels []source // For passthrough tunnels; the same as sources unless told otherwise.

	// One of each for a source address, the zero Addr when none is configured. Never changed after New.
	transports map[netip.Addr]*ways
	tls        map[netip.Addr]*tls.Config

	open connections // Of transports.

	attestor *attestor
}

// New checks o and returns an Egress that has connected to nothing yet. Its error is an [OptionError] or several,
// joined.
func New(o Options) (*Egress, error) {
	o = o.withDefaults()
	resolve, err := o.check()
	if err != nil {
		return nil, err
	}
	e := &Egress{
		opts:       o,
		guard:      newGuard(o.Allow),
		resolve:    resolve,
		sources:    newSources(o.SourceAddresses),
		transports: make(map[netip.Addr]*ways),
		tls:        make(map[netip.Addr]*tls.Config),
		open:       connections{limit: o.MaxPerHost, open: make(map[target]int)},
	}
	e.tunnels = e.sources
	if len(o.TunnelAddresses) > 0 {
		e.tunnels = newSources(o.TunnelAddresses)
	}
	if o.Proxy != nil {
		e.proxy = newUpstreamProxy(o.Proxy, o.Roots)
	}
	addrs := []netip.Addr{{}}
	if len(e.sources) > 0 {
		addrs = addrs[:0]
		for _, s := range e.sources {
			addrs = append(addrs, s.addr)
		}
	}
	for _, a := range addrs {
		e.tls[a] = newTLSConfig(o.Roots)
		e.transports[a] = &ways{e.newTransport(a), e.newHTTP2(a)}
	}
	e.attestor = newAttestor(o, e.tls)
	return e, nil
}

// Close closes the idle connections of every transport. Connections in use end with their requests.
func (e *Egress) Close() {
	for _, t := range e.transports {
		t.CloseIdleConnections()
	}
}

// Source returns the local address from which org's connections leave: pinned if it is valid, else one of the
// configured addresses, always the same for the same org and set, spread evenly over orgs; adding or removing an
// address moves only the orgs that it must. Without configured addresses it is the zero Addr, the kernel's choice.
// pinned is a configured address, or the public one by which an echo last saw one of them: behind a NAT only that is
// the same for all who may run the proxy. It fails with a [SourceError] when it is neither.
//
// An org must not change its address while a grant lives: its sessions may be locked to the address that made them.
func (e *Egress) Source(org string, pinned netip.Addr) (netip.Addr, error) {
	if !pinned.IsValid() {
		return choose(e.sources, org), nil
	}
	pinned = pinned.Unmap()
	if contains(e.sources, pinned) {
		return pinned, nil
	}
	if source, ok := e.attestor.leavesBy(pinned); ok {
		return source, nil
	}
	return netip.Addr{}, &SourceError{Addr: pinned, Reason: "it is neither one of SALLYPORT_EGRESS_SOURCE_IPS nor what an echo has seen one of them leave by"}
}

// TunnelSource returns the local address from which passthrough tunnels to host leave: one of
// Options.TunnelAddresses, else as [Egress.Source] chooses.
func (e *Egress) TunnelSource(host string) netip.Addr { return choose(e.tunnels, host) }

// checkSource refuses a source that isn't configured, the kernel's choice too where addresses are configured: what
// is meant for a registered address must not leave by another one.
func checkSource(known []source, a netip.Addr) error {
	if len(known) == 0 && !a.IsValid() || contains(known, a) {
		return nil
	}
	return &SourceError{Addr: a, Reason: "it is not a configured source address"}
}

func contains(ss []source, a netip.Addr) bool {
	return slices.ContainsFunc(ss, func(s source) bool { return s.addr == a })
}

// redactedURL names a proxy without its userinfo, path and query.
func redactedURL(u *url.URL) string { return u.Scheme + "://" + u.Host }
