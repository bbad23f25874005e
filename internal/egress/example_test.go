package egress_test

import (
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/internal/egress"
)

func ExampleEgress_Source() {
	e, err := egress.New(egress.Options{SourceAddresses: []netip.Addr{
		netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8"),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	first, _ := e.Source("acme-prod", netip.Addr{})
	again, _ := e.Source("acme-prod", netip.Addr{})
	fmt.Println(first == again)
	_, err = e.Source("acme-prod", netip.MustParseAddr("198.51.100.1"))
	fmt.Println(err)
	// Output:
	// true
	// cannot leave from source address 198.51.100.1: it is neither one of SALLYPORT_EGRESS_SOURCE_IPS nor what an echo has seen one of them leave by
}
