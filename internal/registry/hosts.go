package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// suffixes are the registered suffixes under which Salesforce serves, without their leading dot: the list of
// Salesforce's own CLI (sfdx-core, isSalesforceDomain) and the patterns of My Domain, sites, files, Setup, government
// and alternative domains (Salesforce Help, "My Domain URL Formats").
var suffixes = []string{
	"cloudforce.com",
	"content.force.com",
	"crmforce.mil",
	"documentforce.com",
	"force.com",
	"my-salesforce.com",
	"my.site.com",
	"salesforce-experience.com",
	"salesforce-setup.com",
	"salesforce.com",
	"salesforce.mil",
	"salesforceliveagent.com",
	"secure.force.com",
	"sfcrmapps.cn",
	"sfcrmproducts.cn",
	"visualforce.com",
}

// sharedHosts are claimed by every org.
var sharedHosts = []string{
	"login.salesforce.com",
	"test.salesforce.com",
	"api.salesforce.com",
	"api.pubsub.salesforce.com",
}

// SalesforceSuffixes returns the registered suffixes of Salesforce's hosts, without a leading dot, sorted.
func SalesforceSuffixes() []string { return slices.Clone(suffixes) }

// SharedHosts returns the hosts that every org claims.
func SharedHosts() []string { return slices.Clone(sharedHosts) }

// IsShared reports whether every org claims host.
func IsShared(host string) bool { return slices.Contains(sharedHosts, host) }

// UnderSalesforce reports whether the lower-case host lies under a Salesforce suffix. The suffix itself doesn't.
func UnderSalesforce(host string) bool {
	for _, s := range suffixes {
		if n := len(host) - len(s); n > 1 && host[n-1] == '.' && host[n:] == s {
			return true
		}
	}
	return false
}

// isMyDomain reports whether the lower-case host is an org's My Domain, the only kind of host that serves the
// client_credentials grant.
func isMyDomain(host string) bool {
	if !UnderSalesforce(host) {
		return false
	}
	if strings.HasSuffix(host, ".my-salesforce.com") {
		return true
	}
	return strings.Contains(host, ".my.") &&
		!strings.HasSuffix(host, ".site.com") && !strings.HasSuffix(host, ".salesforce-setup.com")
}

// CheckHost tells why host is no exact, lower-case host name (RFC 1123), or nil.
func CheckHost(host string) error {
	switch {
	case host == "":
		return errors.New("the host is empty")
	case strings.Contains(host, "://"), strings.Contains(host, "/"):
		return fmt.Errorf("%q is a URL; give the host name alone", host)
	case strings.Contains(host, "*"):
		return fmt.Errorf("%q is a pattern; hosts are exact names", host)
	case strings.ToLower(host) != host:
		return fmt.Errorf("%q has upper-case letters; write %q", host, strings.ToLower(host))
	case len(host) > 253:
		return fmt.Errorf("%q is longer than 253 characters", host)
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return fmt.Errorf("%q is an IP address; give a host name", host)
	}
	if strings.Contains(host, ":") {
		return fmt.Errorf("%q has a port; give the host name alone", host)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return fmt.Errorf("%q is no host name", host)
		}
	}
	return nil
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// checkOrgHost is [CheckHost], and the host lies under a Salesforce suffix unless foreign hosts are allowed.
func checkOrgHost(host string, foreign bool) error {
	if err := CheckHost(host); err != nil {
		return err
	}
	if !foreign && !UnderSalesforce(host) {
		return fmt.Errorf("%q is not under a Salesforce domain, so a token is never sent there; "+
			"foreignHosts: true allows it, for simulators", host)
	}
	return nil
}
