package access

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
)

// shown is what a verified certificate calls its holder. It is never changed.
type shown struct{ names []string }

// ByCertificate tells which client holds the leaf of chain, a chain that was verified, leaf first: the enabled one that
// has one of the leaf's DNS names, in lower case, or its SPIFFE ID among its certificates. Names are compared whole, a
// wildcard in a certificate names nobody, and neither does the subject's common name. It returns false when the
// certificate is no client's, and for an empty chain: the secret decides then. It fails with a [ProxyAuthRequired]
// [RefusalError] when it is two clients'.
func (*Identifier) ByCertificate(s *registry.Snapshot, chain []*x509.Certificate) (Identity, bool, *RefusalError) {
	if len(chain) == 0 {
		return Identity{}, false, nil
	}
	held := &shown{namesOf(chain[0])}
	clients := held.clients(s)
	switch len(clients) {
	case 0:
		return Identity{}, false, nil
	case 1:
		return Identity{Name: clients[0].Name, certificate: held}, true, nil
	}
	return Identity{}, false, refuse(ProxyAuthRequired, "the certificate is the clients' %q and %q both: "+
		"take one of its names from the certificates of one of them", clients[0].Name, clients[1].Name)
}

// namesOf returns the leaf's names as entries of [registry.Client.Certificates].
func namesOf(leaf *x509.Certificate) []string {
	var names []string
	for _, name := range leaf.DNSNames {
		if !strings.Contains(name, "*") {
			names = append(names, registry.CertificateDNS+strings.ToLower(name))
		}
	}
	// A certificate with more than one URI is no X.509-SVID (X.509-SVID standard, section 2).
	if len(leaf.URIs) == 1 {
		if id := leaf.URIs[0].String(); strings.HasPrefix(id, registry.CertificateSPIFFE) {
			names = append(names, id)
		}
	}
	return names
}

// clients returns the clients that have one of h's names, each once.
func (h *shown) clients(s *registry.Snapshot) []*registry.Client {
	var all []*registry.Client
	for _, name := range h.names {
		for _, c := range s.ClientsByCertificate(name) {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// identifyByCertificate is [Identifier.ByCertificate] for a caller that may show credentials as well. They must name the
// same client. Their secret isn't looked at: the certificate is proof enough, and the user may be there to choose an org.
func (i *Identifier) identifyByCertificate(s *registry.Snapshot, c Credentials, from Caller) (Identity, bool, error) {
	id, found, refusal := i.ByCertificate(s, from.Chain)
	switch {
	case refusal != nil:
		return Identity{}, false, refusal
	case found && c.Given() && c.Name != id.Name:
		return Identity{}, false, refuse(ProxyAuthRequired, "the certificate is the client's %q, and the credentials name another: "+
			"show one of the two, or the same client's", id.Name)
	}
	return id, found, nil
}
