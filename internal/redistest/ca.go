package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// CA is a certificate authority to be thrown away, valid for an hour.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes one.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redistest"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	return &CA{cert, key}, nil
}

// Pool holds the CA's certificate alone.
func (c *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.cert)
	return p
}

// PEM is the CA's certificate.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// Pair is a certificate for 127.0.0.1 and localhost, of a server or a client,
// and its key, both PEM.
func (c *CA) Pair() (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("redistest: %w", err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: c.cert.NotBefore, NotAfter: c.cert.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, t, c.cert, k.Public(), c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("redistest: %w", err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("redistest: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), nil
}

// ClientConfig trusts the CA alone, and shows pair.
func (c *CA) ClientConfig(pair tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: c.Pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

type caFiles struct{ ca, cert, key string }

// write writes the CA and a pair for a server.
func (c *CA) write(dir string) (caFiles, error) {
	cert, key, err := c.Pair()
	if err != nil {
		return caFiles{}, err
	}
	f := caFiles{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for name, b := range map[string][]byte{f.ca: c.PEM(), f.cert: cert, f.key: key} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return caFiles{}, fmt.Errorf("redistest: %w", err)
		}
	}
	return f, nil
}
