package proxy

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// AuthorityPEM is an [Authority] as it is kept: three PEM blocks. Key is a secret and must be sealed or readable by
// its owner only. The root's key isn't among them: nobody has it.
type AuthorityPEM struct {
	Root         []byte
	Intermediate []byte
	Key          []byte // PKCS #8
}

// Marshal returns a as PEM. It fails for a CA that the operator brought with a key that has no PKCS #8 form.
func (a *Authority) Marshal() (AuthorityPEM, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return AuthorityPEM{}, fmt.Errorf("write the CA's key: %w", err)
	}
	return AuthorityPEM{
		Root:         encode(a.root),
		Intermediate: encode(a.chain...),
		Key:          pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}),
	}, nil
}

// ParseAuthority reads what [Authority.Marshal] wrote. It fails when a part is missing or isn't PEM, when the
// intermediate isn't signed by the root, and when the key belongs to another certificate.
func ParseAuthority(p AuthorityPEM) (*Authority, error) {
	roots, err := parseCertificates(p.Root)
	if err != nil {
		return nil, fmt.Errorf("the CA's root: %w", err)
	}
	chain, err := parseCertificates(p.Intermediate)
	if err != nil {
		return nil, fmt.Errorf("the CA's intermediate: %w", err)
	}
	return assemble(append(chain, roots[0]), p.Key)
}

// BringAuthority makes an Authority of the operator's own CA: certs has the certificate that signs leaves, then, if it
// isn't self-signed, those between it and the root, the root last if it is to be exported. It fails as
// [ParseAuthority] does, and when the first certificate is no CA. Whether its name constraints are wise is the
// operator's business.
func BringAuthority(certs, key []byte) (*Authority, error) {
	all, err := parseCertificates(certs)
	if err != nil {
		return nil, fmt.Errorf("SALLYPORT_CA_CERT: %w", err)
	}
	return assemble(all, key)
}

// assemble takes certificates from the signer to the root.
func assemble(all []*x509.Certificate, keyPEM []byte) (*Authority, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the CA's key: %w", err)
	}
	signer := all[0]
	if !signer.IsCA {
		return nil, fmt.Errorf("the certificate %q is no CA: basicConstraints CA:TRUE is missing", signer.Subject)
	}
	for i, c := range all[1:] {
		if err := all[i].CheckSignatureFrom(c); err != nil {
			return nil, fmt.Errorf("the certificate %q isn't signed by %q: %w", all[i].Subject, c.Subject, err)
		}
	}
	type equaler interface{ Equal(crypto.PublicKey) bool }
	if pub, ok := key.Public().(equaler); !ok || !pub.Equal(signer.PublicKey) {
		return nil, fmt.Errorf("the key doesn't belong to the certificate %q", signer.Subject)
	}
	a := &Authority{root: all[len(all)-1], signer: signer, key: key}
	for _, c := range all {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			a.chain = append(a.chain, c)
		}
	}
	return a, nil
}

// Export returns the roots of authorities as PEM, for the trust stores of clients: while a rotation is under way, the
// active one and the next.
func Export(authorities ...*Authority) []byte {
	var roots []*x509.Certificate
	for _, a := range authorities {
		if !slices.ContainsFunc(roots, a.root.Equal) {
			roots = append(roots, a.root)
		}
	}
	return encode(roots...)
}

func encode(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})...)
	}
	return b
}

func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != pemCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no CERTIFICATE in PEM")
	}
	return certs, nil
}

// parseKey reads the first private key. Its errors never quote the key.
func parseKey(b []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, errors.New("there is no private key in PEM; an encrypted one is not read")
		}
		var key any
		var err error
		switch block.Type {
		case pemKey:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, errors.New("the private key can't be read: it is damaged or of an unknown kind")
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("the private key can't sign")
		}
		return signer, nil
	}
}
