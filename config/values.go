package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

// UnmarshalText reads a Go duration above zero.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration, as 30s, 5m or 600h", b)
	}
	if v <= 0 {
		return fmt.Errorf("%v is not above zero", v)
	}
	*d = Duration(v)
	return nil
}

// String returns the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// ByteSize is a number of bytes above zero.
type ByteSize int64

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// UnmarshalText reads a whole number with an optional unit B, KiB, MiB or GiB.
func (s *ByteSize) UnmarshalText(b []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(b), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		switch {
		case err != nil:
			return fmt.Errorf("%q is no size, as 65536, 512KiB or 1MiB", b)
		case n == 0:
			return errors.New("it must be above zero")
		case int64(n) > math.MaxInt64/u.bytes:
			return fmt.Errorf("%q is too large", b)
		}
		*s = ByteSize(int64(n) * u.bytes)
		return nil
	}
	return nil
}

// Paths is a comma-separated list of absolute paths.
type Paths []string

// UnmarshalText reads the list.
func (p *Paths) UnmarshalText(b []byte) error {
	return readList(b, (*[]string)(p), func(s string) (string, error) {
		if !filepath.IsAbs(s) {
			return "", fmt.Errorf("%q is no absolute path", s)
		}
		return filepath.Clean(s), nil
	})
}

// Files is a comma-separated list of paths, absolute or not.
type Files []string

// UnmarshalText reads the list.
func (f *Files) UnmarshalText(b []byte) error {
	return readList(b, (*[]string)(f), func(s string) (string, error) { return filepath.Clean(s), nil })
}

// Patterns is a comma-separated list of passthrough patterns.
type Patterns []string

// UnmarshalText reads the list.
func (p *Patterns) UnmarshalText(b []byte) error {
	return readList(b, (*[]string)(p), func(s string) (string, error) { return s, registry.CheckPassthrough(s) })
}

// Domains is a comma-separated list of lower-case domains; a leading dot is taken off.
type Domains []string

// UnmarshalText reads the list.
func (d *Domains) UnmarshalText(b []byte) error {
	return readList(b, (*[]string)(d), func(s string) (string, error) {
		s = strings.TrimPrefix(s, ".")
		return s, registry.CheckHost(s)
	})
}

// Addrs is a comma-separated list of local addresses.
type Addrs []netip.Addr

// UnmarshalText reads the list.
func (a *Addrs) UnmarshalText(b []byte) error {
	return readList(b, (*[]netip.Addr)(a), func(s string) (netip.Addr, error) {
		ip, err := netip.ParseAddr(s)
		ip = ip.Unmap()
		if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return netip.Addr{}, fmt.Errorf("%q is no IP address that a connection can leave from", s)
		}
		return ip, nil
	})
}

// Prefixes is a comma-separated list of CIDRs; an address alone stands for itself.
type Prefixes []netip.Prefix

// UnmarshalText reads the list.
func (p *Prefixes) UnmarshalText(b []byte) error {
	return readList(b, (*[]netip.Prefix)(p), parsePrefix)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no CIDR, as 10.0.0.0/8", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its mask; write %v", s, p.Masked())
	}
	return p, nil
}

// Range is a range of addresses, both ends in it.
type Range struct{ From, To netip.Addr }

// Ranges is a comma-separated list of CIDRs and start-end ranges.
type Ranges []Range

// UnmarshalText reads the list.
func (r *Ranges) UnmarshalText(b []byte) error {
	return readList(b, (*[]Range)(r), func(s string) (Range, error) {
		start, end, ok := strings.Cut(s, "-")
		if !ok {
			p, err := parsePrefix(s)
			return Range{p.Addr(), lastOf(p)}, err
		}
		from, err1 := netip.ParseAddr(strings.TrimSpace(start))
		to, err2 := netip.ParseAddr(strings.TrimSpace(end))
		if err1 != nil || err2 != nil || from.BitLen() != to.BitLen() || to.Less(from) {
			return Range{}, fmt.Errorf("%q is no range, as 203.0.113.7-203.0.113.9", s)
		}
		return Range{from, to}, nil
	})
}

// lastOf returns the highest address in p, or the zero Addr for no prefix.
func lastOf(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Mapping sends one name and port to an address.
type Mapping struct {
	Host string // Lower-case.
	Port uint16
	To   netip.AddrPort
}

// Mappings is a comma-separated list of host:port=addr:port.
type Mappings []Mapping

// UnmarshalText reads the list. One host and port may stand once only.
func (m *Mappings) UnmarshalText(b []byte) error {
	seen := map[string]bool{}
	return readList(b, (*[]Mapping)(m), func(s string) (Mapping, error) {
		from, to, ok := strings.Cut(s, "=")
		host, port, hasPort := strings.Cut(from, ":")
		if !ok || !hasPort {
			return Mapping{}, fmt.Errorf("%q is no host:port=addr:port", s)
		}
		if err := registry.CheckHost(host); err != nil {
			return Mapping{}, err
		}
		if err := checkPort(port, 1); err != nil {
			return Mapping{}, fmt.Errorf("%q: %w", s, err)
		}
		addr, err := netip.ParseAddrPort(to)
		if err != nil || addr.Port() == 0 {
			return Mapping{}, fmt.Errorf("%q: %q is no IP address with a port from 1 to 65535", s, to)
		}
		if seen[from] {
			return Mapping{}, fmt.Errorf("%s is mapped twice", from)
		}
		seen[from] = true
		n, _ := strconv.ParseUint(port, 10, 16) // checkPort has seen it.
		return Mapping{Host: host, Port: uint16(n), To: addr}, nil
	})
}

// EchoURLs is a comma-separated list of HTTPS URLs.
type EchoURLs []string

// UnmarshalText reads the list.
func (e *EchoURLs) UnmarshalText(b []byte) error {
	return readList(b, (*[]string)(e), func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return "", errors.New("an item is no https:// URL, or has user information in it")
		}
		return s, nil
	})
}
