package egress

import (
	"net/netip"
	"strings"

	"code.dny.dev/ssrf"
)

// guard judges where a connection may go.
type guard struct {
	addresses *ssrf.Guardian
}

func newGuard(allow []netip.Prefix) guard {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p.Masked())
		} else {
			v6 = append(v6, p.Masked())
		}
	}
	return guard{addresses: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}
}

// control is called by net.Dialer with the resolved address, right before it connects: what is judged is what is
// connected to, so that a name that resolves differently the second time (DNS rebinding) gains nothing.
func (g guard) control(host, network, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return &AddressNotAllowedError{Host: host, Reason: "it resolved to " + network + " " + address}
	}
	return g.judge(host, ap.Addr())
}

func (g guard) judge(host string, a netip.Addr) error {
	plain := a.WithZone("").Unmap()
	judged := []netip.Addr{plain}
	if ssrf.IPv6NAT64Prefix.Contains(plain) {
		// Where NAT64 is allowed, the IPv4 address inside must be allowed as well (RFC 6052, section 2.2).
		b := plain.As16()
		judged = append(judged, netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, j := range judged {
		if g.addresses.SafeAddr(j) != nil {
			return &AddressNotAllowedError{Host: host, Addr: plain, Reason: "it is not a public address"}
		}
	}
	return nil
}

// privateSuffixes are names that mean something inside the network of whoever resolves them (RFC 6761, RFC 6762,
// RFC 8375; ICANN's reservation of .internal, used by cloud metadata services).
var privateSuffixes = []string{".localhost", ".local", ".localdomain", ".internal", ".home.arpa", ".lan", ".intranet", ".corp", ".home"}

// judgeName judges a canonical host that an upstream proxy is going to resolve.
func judgeName(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return &AddressNotAllowedError{Host: host, Addr: a, Reason: "through an upstream proxy only names are allowed"}
	}
	if !strings.Contains(host, ".") {
		return &AddressNotAllowedError{Host: host, Reason: "through an upstream proxy only full names are allowed"}
	}
	for _, s := range privateSuffixes {
		if strings.HasSuffix(host, s) {
			return &AddressNotAllowedError{Host: host, Reason: "names under " + s[1:] + " are not public"}
		}
	}
	return nil
}
