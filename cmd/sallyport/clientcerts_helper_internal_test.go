package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

// authorityOf is a certificate authority for clients.
type authorityOf struct {
	t      *testing.T
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	parent *authorityOf
}

// newClientCA makes an authority, a root without a parent.
func newClientCA(t *testing.T, name string, parent *authorityOf) *authorityOf {
	t.Helper()
	ca := &authorityOf{t: t, parent: parent}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	signer := parent
	if parent == nil {
		signer = ca
	}
	ca.cert, ca.key = signer.sign(template, parent == nil)
	return ca
}

// sign makes a key and its certificate by template; self has the key sign.
func (ca *authorityOf) sign(template *x509.Certificate, self bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	by, with := ca.cert, ca.key
	if self {
		by, with = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), with)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert, key
}

// leaf is a client's certificate with what stands between it and the root.
func (ca *authorityOf) leaf(serial int64, dns string, change ...func(*x509.Certificate)) *tls.Certificate {
	ca.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: dns}, DNSNames: []string{dns},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, f := range change {
		f(template)
	}
	cert, key := ca.sign(template, false)
	pair := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	for up := ca; up.parent != nil; up = up.parent {
		pair.Certificate = append(pair.Certificate, up.cert.Raw)
	}
	return pair
}

func (ca *authorityOf) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// revoke is the DER of a list, good for an hour unless changed.
func (ca *authorityOf) revoke(change func(*x509.RevocationList), serials ...int64) []byte {
	ca.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return der
}

func outdated(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }

func crlPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func write(t *testing.T, file string, parts ...[]byte) string {
	t.Helper()
	if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// door is a TLS listener with client certificates. It answers each connection
// with the client that it is, and keeps it open.
type door struct {
	t       *testing.T
	certs   *clientCerts
	said    *said
	addr    string
	server  *authorityOf
	dir     string
	serving sync.WaitGroup
}

// said is a log.
type said struct {
	// mu guards b.
	mu sync.Mutex
	b  strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), what)
}

func (d *door) caFile() string  { return filepath.Join(d.dir, "clients.pem") }
func (d *door) crlFile() string { return filepath.Join(d.dir, "clients.crl") }

// openDoor lets in clients of ca that crl doesn't revoke; nil: any.
func openDoor(t *testing.T, ca, crl []byte) *door {
	t.Helper()
	d := &door{t: t, said: &said{}, dir: t.TempDir(), server: newClientCA(t, "server", nil)}
	write(t, d.caFile(), ca)
	var crls []string
	if crl != nil {
		crls = []string{write(t, d.crlFile(), crl)}
	}
	var err error
	if d.certs, err = loadClientCerts(d.caFile(), crls, slog.New(slog.NewTextHandler(d.said, nil))); err != nil {
		t.Fatal(err)
	}
	pair := d.server.leaf(1, "localhost", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	cert := &certificate{}
	cert.current.Store(pair)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	front := d.certs.listener(l, cert.server())
	identify, snap := identifier(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		front.Close()
		cancel()
		d.serving.Wait()
	})
	d.serving.Go(func() { // ends with the listener
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			d.serving.Go(func() { answer(ctx, c.(*tls.Conn), identify, snap) }) // ends with the client or the test
		}
	})
	return d
}

// identifier knows billing by its certificate.
func identifier(t *testing.T) (*access.Identifier, *registry.Snapshot) {
	t.Helper()
	f := newFake()
	r, err := registry.New(t.Context(), registry.Options{Store: f, Sealer: f})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(t.Context(), registry.Change{Clients: []registry.ClientChange{
		{Client: registry.Client{Name: "billing", Certificates: []string{"dns:billing.example"}}}}}); err != nil {
		t.Fatal(err)
	}
	i, err := access.NewIdentifier(access.IdentifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return i, r.Snapshot()
}

func answer(ctx context.Context, c *tls.Conn, i *access.Identifier, s *registry.Snapshot) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.NetConn().Close() })()
	if c.HandshakeContext(ctx) != nil {
		return
	}
	from, name := access.Caller{Peer: c.RemoteAddr().String()}, "nobody"
	if chains := c.ConnectionState().VerifiedChains; len(chains) > 0 {
		from.Chain = chains[0]
	}
	if id, err := i.Identify(ctx, s, access.Credentials{}, from); err == nil {
		name = id.Name
	}
	fmt.Fprintln(c, name)
	_, _ = c.Read(make([]byte, 1)) // until the client or the test ends it
}

// client shows pair whatever the server asks for; nil: none. It keeps sessions.
func (d *door) client(pair *tls.Certificate, version uint16) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(d.server.cert)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if pair != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return c
}

// knock returns who the client was told to be, whether its session was resumed,
// and the connection; or why it wasn't let in.
func (d *door) knock(c *tls.Config) (name string, resumed bool, conn *tls.Conn, err error) {
	d.t.Helper()
	conn, err = tls.Dial("tcp", d.addr, c)
	if err != nil {
		return "", false, nil, err
	}
	d.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	name, err = bufio.NewReaderSize(conn, 16).ReadString('\n')
	return strings.TrimSpace(name), conn.ConnectionState().DidResume, conn, err
}
