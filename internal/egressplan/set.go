package egressplan

import (
	"iter"
	"math/big"
	"net/netip"
	"slices"
	"strings"
)

// Set is addresses as the fewest ranges that hold them and nothing else: sorted, apart, never adjacent. It is made by
// [NewSet]; the nil Set is empty.
type Set []Range

// NewSet merges ranges that overlap or touch. Ranges whose ends are of two families or in the wrong order are left out.
func NewSet(ranges ...Range) Set {
	var all []Range
	for _, r := range ranges {
		if r.From.IsValid() && r.From.BitLen() == r.To.BitLen() && r.From.Compare(r.To) <= 0 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Range) int { return a.From.Compare(b.From) })
	var out Set
	for _, r := range all {
		if n := len(out); n > 0 && touches(out[n-1], r) {
			if out[n-1].To.Less(r.To) {
				out[n-1].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches reports whether b, which doesn't begin before a, begins in a or right behind it.
func touches(a, b Range) bool {
	return a.To.BitLen() == b.From.BitLen() && (b.From.Compare(a.To) <= 0 || a.To.Next() == b.From)
}

// Of is the set of single addresses.
func Of(addrs ...netip.Addr) Set {
	var all []Range
	for _, a := range addrs {
		all = append(all, One(a))
	}
	return NewSet(all...)
}

// Contains reports whether a is in s.
func (s Set) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(s, func(r Range) bool { return r.Contains(a) })
}

// Union is what is in s or in t.
func (s Set) Union(t Set) Set { return NewSet(slices.Concat(s, t)...) }

// Minus is what is in s and not in t.
func (s Set) Minus(t Set) Set {
	var out Set
	for _, r := range s {
		out = append(out, without(r, t)...)
	}
	return out
}

// without is what of r isn't in t.
func without(r Range, t Set) (out []Range) {
	for _, u := range t {
		if u.From.BitLen() != r.From.BitLen() || u.To.Less(r.From) || r.To.Less(u.From) {
			continue
		}
		if r.From.Less(u.From) {
			out = append(out, Range{r.From, u.From.Prev()})
		}
		if !u.To.Less(r.To) {
			return out
		}
		r.From = u.To.Next()
	}
	return append(out, r)
}

// Covers reports whether all of t is in s.
func (s Set) Covers(t Set) bool { return len(t.Minus(s)) == 0 }

// Count is how many addresses s has.
func (s Set) Count() *big.Int {
	n := new(big.Int)
	for _, r := range s {
		n.Add(n, r.Count())
	}
	return n
}

// All are the addresses of s in order. An IPv6 range may have more of them than anyone can wait for.
func (s Set) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range s {
			for a := r.From; ; a = a.Next() {
				if !yield(a) {
					return
				}
				if a == r.To {
					break
				}
			}
		}
	}
}

// String lists the ranges as SALLYPORT_EGRESS_ALLOWED takes them.
func (s Set) String() string {
	var all []string
	for _, r := range s {
		all = append(all, r.String())
	}
	return strings.Join(all, ",")
}
