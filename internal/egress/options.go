package egress

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say how connections leave. The zero Options reach public addresses from the kernel's choice of address,
// verified by the system's roots.
type Options struct {
	// SourceAddresses are the local addresses that connections are bound to; each org keeps one (Egress.Source).
	SourceAddresses []netip.Addr
	// TunnelAddresses are for passthrough tunnels alone; empty: SourceAddresses.
	TunnelAddresses []netip.Addr
	// Allow holds destinations besides public ones.
	Allow []netip.Prefix
	// Resolve maps "host:port" to "addr:port", for simulators. A mapped address is exempt from the guard; the
	// certificate must still be host's. It needs Roots.
	Resolve map[string]string
	// Roots verify the servers and an https upstream proxy; nil: the system's.
	Roots *x509.CertPool
	// Proxy is an upstream proxy, http or https, with or without userinfo. Its own address is exempt from the guard,
	// and through it names are judged instead of addresses.
	Proxy *url.URL
	// Registered are the public addresses that Salesforce knows. With any, token requests leave only by a source address
	// that an echo has seen as one of them ([Egress.Registered]).
	Registered []Range
	// Echo are https URLs that answer the caller's address as text or as the ip of a JSON object, tried in order.
	Echo []string
	// Resolver looks names up; nil: net.DefaultResolver.
	Resolver *net.Resolver

	DialTimeout      time.Duration // Name look-up and TCP; 0: 10 s.
	HandshakeTimeout time.Duration // TLS, and a proxy's answer to CONNECT, each; 0: 10 s.
	UpstreamTimeout  time.Duration // From the request's last byte to the answer's first; 0: 11 min.
	IdleTimeout      time.Duration // An idle pooled connection is closed after it; 0: 90 s.
	MaxIdlePerHost   int           // Idle pooled connections for a source address and host; 0: 512.
	MaxPerHost       int           // Pooled connections for a source address and host, whatever they do; 0: 4096.
	MaxIdle          int           // Idle pooled connections for a source address; 0: 8192.
}

// OptionError says which option is wrong, and why. Starting again with the same options fails again.
type OptionError struct {
	Option string // The field of Options.
	Reason string
}

// Error implements error.
func (e *OptionError) Error() string { return fmt.Sprintf("egress: %s: %s", e.Option, e.Reason) }

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.DialTimeout, 10 * time.Second}, {&o.HandshakeTimeout, 10 * time.Second},
		{&o.UpstreamTimeout, 11 * time.Minute}, {&o.IdleTimeout, 90 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.MaxIdlePerHost == 0 {
		o.MaxIdlePerHost = 512
	}
	if o.MaxPerHost == 0 {
		o.MaxPerHost = 4096
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 8192
	}
	return o
}

// check reports every fault of o, joined, and returns Resolve parsed.
func (o Options) check() (map[string]netip.AddrPort, error) {
	var faults []error
	fault := func(option, format string, a ...any) {
		faults = append(faults, &OptionError{option, fmt.Sprintf(format, a...)})
	}
	checkAddresses := func(option string, addrs []netip.Addr) {
		for i, a := range addrs {
			switch {
			case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
				fault(option, "%v is no address that a connection can leave from", a)
			case slices.Contains(addrs[:i], a):
				fault(option, "%v is given twice", a)
			}
		}
	}
	checkAddresses("SourceAddresses", o.SourceAddresses)
	checkAddresses("TunnelAddresses", o.TunnelAddresses)
	for _, p := range o.Allow {
		if !p.IsValid() || p.Addr().Is4In6() {
			fault("Allow", "%v is no IPv4 or IPv6 prefix (write an IPv4-mapped one as IPv4)", p)
		}
	}
	if len(o.Resolve) > 0 && o.Roots == nil {
		fault("Resolve", "it needs roots of its own (SALLYPORT_UPSTREAM_CA_FILE): a redirected name must not pass with a public certificate by chance")
	}
	resolve := make(map[string]netip.AddrPort, len(o.Resolve))
	for from, to := range o.Resolve {
		host, port, err := splitHostPort(from)
		if err != nil {
			fault("Resolve", "%q is not host:port", from)
			continue
		}
		ap, err := netip.ParseAddrPort(to)
		if err != nil || ap.Port() == 0 {
			fault("Resolve", "%q, for %s, is not addr:port", to, from)
			continue
		}
		resolve[joinHostPort(host, port)] = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if u := o.Proxy; u != nil {
		switch {
		case u.Scheme != "http" && u.Scheme != "https":
			fault("Proxy", "its scheme is %q instead of http or https", u.Scheme)
		case u.Hostname() == "":
			fault("Proxy", "it has no host")
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			fault("Proxy", "%s has a path, query or fragment", redactedURL(u))
		}
	}
	for _, r := range o.Registered {
		if !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From) {
			fault("Registered", "%v-%v is no range", r.From, r.To)
		}
	}
	if len(o.Registered) > 0 && len(o.Echo) == 0 {
		fault("Registered", "nothing can be verified without an echo")
	}
	for name, d := range map[string]time.Duration{
		"DialTimeout": o.DialTimeout, "HandshakeTimeout": o.HandshakeTimeout,
		"UpstreamTimeout": o.UpstreamTimeout, "IdleTimeout": o.IdleTimeout,
	} {
		if d < 0 {
			fault(name, "%v is negative", d)
		}
	}
	if o.MaxIdlePerHost < 0 || o.MaxIdle < 0 || o.MaxPerHost < 0 {
		fault("MaxIdle", "a negative number of connections")
	}
	return resolve, errors.Join(faults...)
}

// splitHostPort splits "host:port" and brings host into the one form that is compared, resolved and verified.
func splitHostPort(hostport string) (string, uint16, error) {
	h, p, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", 0, &AddressNotAllowedError{Host: strconv.QuoteToASCII(hostport), Reason: "it is not host:port"}
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return "", 0, &AddressNotAllowedError{Host: strconv.QuoteToASCII(h), Reason: "its port is not a number from 1 to 65535"}
	}
	host, err := canonicalHost(h)
	return host, uint16(port), err
}

func joinHostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// canonicalHost returns host in lower case without a final dot. It refuses what is neither a DNS name nor an IP
// address in its usual form: some resolvers read "0x7f.1" or "2130706433" as an address, and a line break would
// write headers into a CONNECT.
func canonicalHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", &AddressNotAllowedError{Host: strconv.QuoteToASCII(host), Reason: "it has a zone"}
		}
		return a.Unmap().String(), nil
	}
	// Quoted: it may hold control characters, and it goes into logs.
	bad := &AddressNotAllowedError{Host: strconv.QuoteToASCII(host), Reason: "it is neither a DNS name nor an address"}
	h := strings.TrimSuffix(strings.ToLower(host), ".")
	if h == "" || len(h) > 253 {
		return "", bad
	}
	labels := strings.Split(h, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", bad
		}
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", bad
	}
	return h, nil
}
