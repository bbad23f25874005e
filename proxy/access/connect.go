package access

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
)

// Ports of Salesforce (salesforce.md, section 6.1).
const (
	portHTTPS  = 443
	portPubSub = 7443
	// pubSubSuffix is where the Pub/Sub API's regional hosts lie.
	pubSubSuffix = ".pubsub.salesforce.com"
)

// Target is what a CONNECT named.
type Target struct {
	Host string // Lower-case, without a port.
	Port uint16
}

// String returns host:port.
func (t Target) String() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// Names reports whether authority, a Host header or :authority, is t. A missing port is 443.
func (t Target) Names(authority string) bool {
	if len(authority) == len(t.Host) {
		return t.Port == portHTTPS && strings.EqualFold(authority, t.Host)
	}
	if len(authority) < len(t.Host)+2 || authority[len(t.Host)] != ':' || !strings.EqualFold(authority[:len(t.Host)], t.Host) {
		return false
	}
	port := uint64(0)
	for _, c := range []byte(authority[len(t.Host)+1:]) {
		if c < '0' || c > '9' || port > 65535 {
			return false
		}
		port = port*10 + uint64(c-'0')
	}
	return port == uint64(t.Port)
}

// ParseTarget reads the authority of a CONNECT (RFC 9110, section 9.3.6). It fails with a [BadRequest] [RefusalError] for
// what isn't host:port.
func ParseTarget(authority string) (Target, *RefusalError) {
	host, port, err := net.SplitHostPort(authority)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || len(host) > 253 || strings.ContainsAny(host, " @/\\%\x00") {
		return Target{}, refuse(BadRequest, "CONNECT names no host:port")
	}
	// The root's dot names the same host, and must not make another of it.
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); host == "" || strings.HasSuffix(host, ".") {
		return Target{}, refuse(BadRequest, "CONNECT names no host:port")
	}
	return Target{Host: host, Port: uint16(n)}, nil
}

// Route is what becomes of a CONNECT that isn't refused.
type Route uint8

// The routes.
const (
	Intercept Route = iota + 1 // An org claims the host: TLS ends here, each request is judged.
	Tunnel                     // The bytes go through untouched.
)

// Passthrough is what may be tunnelled.
type Passthrough struct {
	// Patterns are host, *.host or *, each with :port, 443 without; they hold for clients without a list of their own.
	Patterns []string
	// Never are host:port of sallyport's own listeners and its store.
	Never []string
}

// Connect decides a CONNECT of id to t. It fails with a [HostNotAllowed] [RefusalError] when no org claims the host and no
// pattern lets it through. A claim wins over a pattern, and a host under a Salesforce suffix is never tunnelled.
func (p Passthrough) Connect(s *registry.Snapshot, id Identity, t Target) (Route, *RefusalError) {
	if s.Claimed(t.Host) {
		return Intercept, nil
	}
	if registry.UnderSalesforce(t.Host) {
		return 0, refuse(HostNotAllowed, "no org claims %s: name it in the hosts of an org", t.Host)
	}
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return 0, refuse(HostNotAllowed, "%s is an IP address: sallyport serves names only", t.Host)
	}
	patterns := p.Patterns
	if c := s.Client(id.Name); c != nil && c.Passthrough != nil {
		patterns = *c.Passthrough
	}
	name := t.String()
	for _, own := range p.Never {
		if strings.EqualFold(own, name) {
			return 0, refuse(HostNotAllowed, "%s is sallyport's own and is never tunnelled", name)
		}
	}
	for _, pattern := range patterns {
		if matches(pattern, t) {
			return Tunnel, nil
		}
	}
	return 0, refuse(HostNotAllowed, "no org claims %s and no passthrough pattern has it: name it in the hosts of an org, "+
		"in SALLYPORT_PASSTHROUGH_HOSTS, or in the client's NO_PROXY", name)
}

func matches(pattern string, t Target) bool {
	host, port, ok := strings.Cut(pattern, ":")
	if !ok {
		port = "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || uint16(n) != t.Port {
		return false
	}
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return len(t.Host) > len(suffix) && strings.HasSuffix(t.Host, suffix)
	}
	return host == t.Host
}

// ChooseOrg returns the org that serves a request of id to t: the host's claims and the client's orgs leave the
// candidates, and wanted, the names that the caller gave in its user and headers, empty for none, choose among them.
// It fails with a [RefusalError]: [HostNotAllowed] for a port that the host doesn't have, [OrgNotAllowed] when there is no
// candidate or a wanted org is none, [OrgAmbiguous] when several are left or the wanted ones differ. It doesn't
// allocate when it succeeds.
func ChooseOrg(s *registry.Snapshot, id Identity, t Target, wanted ...string) (*registry.Org, *RefusalError) {
	want := ""
	for _, w := range wanted {
		if w != "" && want != "" && w != want {
			return nil, refuse(OrgAmbiguous, "the proxy user and the Sallyport-Org headers name different orgs, %q and %q: "+
				"name one", want, w)
		}
		if w != "" {
			want = w
		}
	}
	var found *registry.Org
	several := false
	for _, o := range s.OrgsForHost(t.Host) {
		if !id.Local && !s.MayUse(id.Name, o.Key) || want != "" && o.Name != want {
			continue
		}
		several = several || found != nil
		found = o
	}
	switch {
	case found == nil && want != "":
		return nil, refuse(OrgNotAllowed, "the org %q doesn't serve %s for this client: it isn't among the client's orgs, "+
			"is disabled, or has another host", want, t.Host)
	case found == nil:
		return nil, refuse(OrgNotAllowed, "no org that this client may use serves %s: add it to the client's orgs", t.Host)
	case several:
		return nil, refuse(OrgAmbiguous, "several orgs serve %s: choose one with the proxy user CLIENT+ORG or the header "+
			"Sallyport-Org: ORG", t.Host)
	case !hasPort(found, t):
		return nil, refuse(HostNotAllowed, "%s is served on port 443 only", t.Host)
	}
	return found, nil
}

// hasPort reports whether o's APIs are on t's port: 443, 7443 for Pub/Sub, the login URL's for foreign hosts.
func hasPort(o *registry.Org, t Target) bool {
	switch t.Port {
	case portHTTPS:
		return true
	case portPubSub:
		if strings.HasSuffix(t.Host, pubSubSuffix) {
			return true
		}
	}
	if !o.ForeignHosts {
		return false
	}
	u, err := url.Parse(o.LoginURL)
	return err == nil && u.Port() == strconv.Itoa(int(t.Port))
}
