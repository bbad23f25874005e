package egressplan_test

import (
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/internal/egressplan"
)

func ExampleMake() {
	registered, err := egressplan.ParseAll("203.0.113.0/29")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := egressplan.Make(egressplan.Input{InUse: egressplan.Of(netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")), Registered: registered})
	fmt.Println("missing:", p.Missing)
	fmt.Println("superfluous:", p.Superfluous)
	fmt.Println("register:", p.Register)
	fmt.Println("fits:", p.OK())
	// Output:
	// missing: 203.0.113.8
	// superfluous: 203.0.113.0-203.0.113.6
	// register: 203.0.113.7-203.0.113.8
	// fits: true
}
