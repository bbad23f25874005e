package egressplan

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
)

// Range is the addresses from From to To, both included, of one family: the form in which Salesforce takes them.
type Range struct {
	From netip.Addr `json:"start"`
	To   netip.Addr `json:"end"`
}

// RangeError says that a text is no range. Reading it again fails again.
type RangeError struct{ Text, Reason string }

// Error implements error.
func (e *RangeError) Error() string {
	return fmt.Sprintf("%q is no range of addresses: %s; write 203.0.113.7, 203.0.113.7-203.0.113.9 or 203.0.113.0/28", e.Text, e.Reason)
}

// One is the range of a single address. An IPv4 address in IPv6 form counts as IPv4.
func One(a netip.Addr) Range {
	a = a.Unmap()
	return Range{a, a}
}

// Parse reads an address, "start-end" or a CIDR, whose host bits are ignored. It fails with a [RangeError].
func Parse(text string) (Range, error) {
	s := strings.TrimSpace(text)
	bad := func(reason string) (Range, error) { return Range{}, &RangeError{text, reason} }
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil || p.Addr().Is4In6() {
			return bad("it is no CIDR")
		}
		p = p.Masked()
		return Range{p.Addr(), last(p)}, nil
	}
	first, second, pair := strings.Cut(s, "-")
	from, err := netip.ParseAddr(strings.TrimSpace(first))
	if err != nil || from.Zone() != "" {
		return bad("it has no address")
	}
	if !pair {
		return One(from), nil
	}
	to, err := netip.ParseAddr(strings.TrimSpace(second))
	if err != nil || to.Zone() != "" {
		return bad("its end is no address")
	}
	from, to = from.Unmap(), to.Unmap()
	switch {
	case from.BitLen() != to.BitLen():
		return bad("one end is IPv4 and the other IPv6")
	case to.Less(from):
		return bad("its end comes before its start")
	}
	return Range{from, to}, nil
}

// ParseAll reads ranges that commas separate. It fails with the [RangeError] of the first that is none.
func ParseAll(text string) (Set, error) {
	var all []Range
	for s := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(s) == "" {
			continue
		}
		r, err := Parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return NewSet(all...), nil
}

// String returns "start-end", and a single address as such.
func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "-" + r.To.String()
}

// Contains reports whether a lies in r.
func (r Range) Contains(a netip.Addr) bool {
	a = a.Unmap()
	return a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0
}

// Count is how many addresses r has: of IPv6 more than a machine's integer holds.
func (r Range) Count() *big.Int {
	from, to := new(big.Int).SetBytes(r.From.AsSlice()), new(big.Int).SetBytes(r.To.AsSlice())
	return to.Add(to.Sub(to, from), big.NewInt(1))
}

// last is the greatest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b) // of the length of an address
	return a
}
