package proxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// backdate keeps new certificates valid for clients whose clock is behind.
	backdate = time.Hour
)

// Authority is the interception CA that clients trust: a root, whose key was destroyed when it had signed, and the one
// intermediate that signs leaves. Both carry critical name constraints (RFC 5280, section 4.2.1.10), because Java
// ignores the constraints of a trust anchor. It is never changed after it was made and is safe for concurrent use.
type Authority struct {
	// root is what clients trust; the intermediate itself for a CA that the operator brought.
	root *x509.Certificate
	// chain is sent behind each leaf: the signer first, no self-signed certificate.
	chain  []*x509.Certificate
	signer *x509.Certificate
	key    crypto.Signer
}

// NewAuthority makes a root and an intermediate that may vouch for names in and under domains only, and for no IP
// address, valid for ten years from now. The root's key is gone when it returns. It fails without domains, and for a
// domain that is a pattern or has a leading dot.
func NewAuthority(domains []string, now time.Time) (*Authority, error) {
	if len(domains) == 0 {
		return nil, errors.New("the CA needs at least one domain to be constrained to: set SALLYPORT_CA_DOMAINS")
	}
	for _, d := range domains {
		if d == "" || strings.HasPrefix(d, ".") || strings.ContainsAny(d, "*/: ") {
			return nil, fmt.Errorf("%q is no domain that a CA can be constrained to: write it as example.com", d)
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the root's key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the intermediate's key: %w", err)
	}
	label := now.UTC().Format("2006-01-02")
	rootTemplate := caTemplate("sallyport root "+label, domains, now)
	rootTemplate.MaxPathLen = 1
	root, err := sign(rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	template := caTemplate("sallyport interception "+label, domains, now)
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	intermediate, err := sign(template, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	return &Authority{root: root, chain: []*x509.Certificate{intermediate}, signer: intermediate, key: key}, nil
}

// caTemplate is a certificate of a CA constrained to domains and to no IP address at all.
func caTemplate(name string, domains []string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:                newSerial(),
		Subject:                     pkix.Name{Organization: []string{"sallyport"}, CommonName: name},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.Add(authorityLife),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         slices.Clone(domains),
		ExcludedIPRanges: []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		},
	}
}

// newSerial returns 127 random bits (RFC 5280, section 4.1.2.2).
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // Never fails (crypto/rand, Go 1.24).
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Root returns the certificate that clients trust. It is shared and must not be changed.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuer returns the certificate that signs leaves. It is shared and must not be changed.
func (a *Authority) Issuer() *x509.Certificate { return a.signer }

// Domains returns the domains that leaves of a may name. None: the CA is not constrained.
func (a *Authority) Domains() []string { return slices.Clone(a.signer.PermittedDNSDomains) }
