package egressplan

import "net/netip"

// Judge says whether a login that Salesforce recorded came from one of the known addresses, and if not, why. source is
// LoginHistory's SourceIp as Salesforce wrote it. What can't be read as an address is a stranger too: nothing shows
// that it is known.
func Judge(source string, known Set) (stranger bool, why string) {
	a, err := netip.ParseAddr(source)
	switch {
	case err != nil || a.Zone() != "":
		return true, "Salesforce recorded no address that can be compared"
	case known.Contains(a):
		return false, ""
	}
	return true, "neither registered nor seen as an address of sallyport"
}
