package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What stands before an entry of [Client.Certificates].
const (
	CertificateDNS    = "dns:"      // A DNS name among the certificate's subject alternative names.
	CertificateSPIFFE = "spiffe://" // The certificate's SPIFFE ID, which begins so by itself.
)

// Limits of the SPIFFE ID standard (sections 2.1 and 2.3), in bytes.
const (
	maxSPIFFE      = 2048
	maxTrustDomain = 255
)

// CheckCertificate tells why entry is no entry of [Client.Certificates], or nil. An entry is dns:NAME, with an exact
// lower-case host name, or spiffe://TRUST-DOMAIN/PATH. Nothing in it is a pattern.
func CheckCertificate(entry string) error {
	if name, ok := strings.CutPrefix(entry, CertificateDNS); ok {
		return CheckHost(name)
	}
	if id, ok := strings.CutPrefix(entry, CertificateSPIFFE); ok {
		return checkSPIFFE(id)
	}
	return fmt.Errorf("%q is no name of a certificate: write dns:NAME or spiffe://TRUST-DOMAIN/PATH", entry)
}

// checkSPIFFE judges what stands behind spiffe:// (SPIFFE ID standard, section 2). A caller's ID has a path: one
// without names the trust domain itself (X.509-SVID standard, section 5.2).
func checkSPIFFE(id string) error {
	domain, path, ok := strings.Cut(id, "/")
	switch {
	case len(CertificateSPIFFE)+len(id) > maxSPIFFE:
		return fmt.Errorf("the SPIFFE ID is longer than %d bytes", maxSPIFFE)
	case domain == "" || len(domain) > maxTrustDomain || strings.ContainsFunc(domain, func(r rune) bool {
		return !isLower(r) && !isDigit(r) && !strings.ContainsRune(".-_", r)
	}):
		return fmt.Errorf("%q is no trust domain: 1 to %d of a-z, 0-9 and .-_", domain, maxTrustDomain)
	case !ok:
		return errors.New("the SPIFFE ID has no path, and so names a whole trust domain: write spiffe://TRUST-DOMAIN/PATH")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool {
			return !isLower(r) && !isDigit(r) && (r < 'A' || r > 'Z') && !strings.ContainsRune(".-_", r)
		}) {
			return fmt.Errorf("%q is no segment of a SPIFFE ID's path: neither empty nor dots alone, of letters, digits and .-_ only", segment)
		}
	}
	return nil
}

func isLower(r rune) bool { return r >= 'a' && r <= 'z' }
func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// certificates checks the entries of one client.
func (k *checker) certificates(path string, entries []string) {
	for i, entry := range entries {
		if err := CheckCertificate(entry); err != nil {
			k.fault(fmt.Sprintf("%s[%d]", path, i), "%v", err)
		}
	}
	k.unique(path, entries)
}

// oneOwner faults a certificate that two enabled clients of the change have.
func (k *checker) oneOwner() {
	owner := map[string]string{}
	for i, c := range k.change.Clients {
		if c.Disabled {
			continue
		}
		for j, entry := range c.Certificates {
			if first, ok := owner[entry]; ok && first != c.Name {
				k.taken(fmt.Sprintf("clients[%d].certificates[%d]", i, j), entry, first, c.Name)
				continue
			}
			owner[entry] = c.Name
		}
	}
}

// certificateOwners faults a certificate that an enabled client has which the change doesn't touch. Disabled clients
// keep their entries and hold none, so that one can follow another.
func (p *planner) certificateOwners() {
	for i, c := range p.change.Clients {
		if c.Disabled {
			continue
		}
		for j, entry := range c.Certificates {
			for _, other := range p.next.Clients {
				if !other.Disabled && !p.clients[other.Name] && slices.Contains(other.Certificates, entry) {
					p.taken(fmt.Sprintf("clients[%d].certificates[%d]", i, j), entry, other.Name, c.Name)
				}
			}
		}
	}
}

func (k *checker) taken(path, entry, one, other string) {
	k.fault(path, "the clients %q and %q both have %q: a certificate is one client's; take it from one, or disable that", one, other, entry)
}
