package sfsim

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
	"strings"
	"sync"
	"time"
)

// authority signs leaves for Salesforce's hosts.
type authority struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey

	mu     sync.Mutex // guards leaves
	leaves map[string]*tls.Certificate
}

const maxLeaves = 4096

// The certificates' life spans any clock that a test may use.
var (
	notBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sfsim CA"}, NotBefore: notBefore, NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, der: der, key: key, leaves: map[string]*tls.Certificate{}}, nil
}

// CAPEM returns the certificate of the CA that signs the simulator's leaves.
func (s *Sim) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.der})
}

// CertPool returns a pool that holds only that CA.
func (s *Sim) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	return pool
}

var salesforceSuffixes = []string{".salesforce.com", ".force.com", ".site.com", ".salesforce-setup.com", ".cloudforce.com",
	".salesforce.mil", ".crmforce.mil", ".sfcrmproducts.cn", ".sfcrmapps.cn", ".my-salesforce.com", ".visualforce.com", ".documentforce.com"}

// leafFor returns the certificate for a handshake: any Salesforce host, and the
// hosts of its orgs whatever their suffix.
func (s *Sim) leafFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		name = "login.salesforce.com"
	}
	_, known := (*s.hosts.Load())[name]
	for _, suffix := range salesforceSuffixes {
		known = known || strings.HasSuffix(name, suffix)
	}
	if !known {
		return nil, fmt.Errorf("sfsim: %q is no host of Salesforce", name)
	}
	return s.ca.leaf(name)
}

func (c *authority) leaf(name string) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leaf := c.leaves[name]; leaf != nil {
		return leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(c.leaves) + 2)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: notBefore, NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	leaf := &tls.Certificate{Certificate: [][]byte{der, c.der}, PrivateKey: key}
	if len(c.leaves) < maxLeaves {
		c.leaves[name] = leaf
	}
	return leaf, nil
}
