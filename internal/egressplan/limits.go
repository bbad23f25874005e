package egressplan

import (
	"fmt"
	"math/big"
)

// The limits of an app's refresh token IP allowlist (Salesforce Help, xcloud.set_ip_allowlist_for_refresh_tokens): start
// and end addresses instead of CIDRs, and no more than this.
const (
	MaxRanges    = 128
	MaxAddresses = 256
)

// Fit says whether Salesforce takes a set.
type Fit struct {
	Ranges    int      `json:"ranges"`
	Addresses *big.Int `json:"addresses"`
	// RangesOver and AddressesOver are by how much it is too much, zero where it isn't.
	RangesOver    int      `json:"rangesOver"`
	AddressesOver *big.Int `json:"addressesOver"`
	Advice        string   `json:"advice,omitempty"` // what to do; empty where it fits
}

// OK reports whether Salesforce takes it.
func (f Fit) OK() bool { return f.RangesOver == 0 && f.AddressesOver.Sign() == 0 }

// Measure holds s against Salesforce's limits.
func Measure(s Set) Fit {
	f := Fit{Ranges: len(s), Addresses: s.Count(), RangesOver: max(0, len(s)-MaxRanges), AddressesOver: new(big.Int)}
	if over := new(big.Int).Sub(f.Addresses, big.NewInt(MaxAddresses)); over.Sign() > 0 {
		f.AddressesOver = over
	}
	switch {
	case f.AddressesOver.Sign() > 0:
		f.Advice = fmt.Sprintf("%v addresses are %v more than the %d that Salesforce takes for an app: register the addresses that calls really leave by instead of whole networks, "+
			"or let all calls leave through a NAT with a small prefix of its own, such as a /28", f.Addresses, f.AddressesOver, MaxAddresses)
	case f.RangesOver > 0:
		f.Advice = fmt.Sprintf("%d ranges are %d more than the %d that Salesforce takes for an app: use addresses that lie next to each other, "+
			"such as one prefix of a NAT, which is one range", f.Ranges, f.RangesOver, MaxRanges)
	}
	return f
}
