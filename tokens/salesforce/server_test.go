package salesforce_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org  = tokens.OrgID("acme")
	host = "acme.my.salesforce.com"
)

// peer is one connection as a script sees it.
type peer struct {
	*tls.Conn
	tcp *net.TCPConn
	got *bytes.Buffer
}

// request reads one whole request with a Content-Length.
func (p *peer) request() {
	buf := make([]byte, 4096)
	for {
		head, body, ok := strings.Cut(p.got.String(), "\r\n\r\n")
		if ok && strings.Contains(head, "Content-Length: "+strconv.Itoa(len(body))) {
			return
		}
		n, err := p.Read(buf)
		p.got.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

func (p *peer) say(s string) { _, _ = p.Write([]byte(s)) }

// reset ends the connection with a RST.
func (p *peer) reset() {
	_ = p.tcp.SetLinger(0)
	_ = p.tcp.Close()
}

// script is what a server does with each connection after its handshake. What
// else arrives is counted afterwards, until the client is gone.
type script func(*peer)

// server is a TLS server of raw bytes for [host].
type server struct {
	listener net.Listener
	roots    *x509.CertPool
	work     sync.WaitGroup

	mu    sync.Mutex // guards the rest
	conns int
	got   []string
}

func serve(t *testing.T, s script, protos ...string) *server {
	t.Helper()
	cert, roots := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &server{listener: l, roots: roots}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protos, MinVersion: tls.VersionTLS12}
	v.work.Add(1)
	go func() { // ends when the listener is closed
		defer v.work.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			v.work.Add(1)
			go func() { // ends with the connection
				defer v.work.Done()
				v.serve(c.(*net.TCPConn), cfg, s)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		v.work.Wait()
	})
	return v
}

func (v *server) serve(c *net.TCPConn, cfg *tls.Config, s script) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	v.mu.Lock()
	v.conns++
	v.mu.Unlock()
	p := &peer{Conn: tls.Server(c, cfg), tcp: c, got: &bytes.Buffer{}}
	if p.Handshake() == nil {
		s(p)
		_, _ = io.Copy(p.got, p)
	}
	v.mu.Lock()
	v.got = append(v.got, p.got.String())
	v.mu.Unlock()
}

// seen ends the server, and returns how many connections it had and all that
// it read.
func (v *server) seen() (conns int, got string) {
	v.listener.Close()
	v.work.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.conns, strings.Join(v.got, "")
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// apps is a registry of one org.
type apps struct{ app salesforce.App }

func (a apps) App(id tokens.OrgID) (salesforce.App, bool) { return a.app, id == org }

func testApp() salesforce.App {
	return salesforce.App{ClientID: "3MVG9.client", ClientSecret: secret.NewText("s3cret/+"), TokenHost: host}
}

// exchanger reaches addr as [host] through the real egress.
func exchanger(t *testing.T, addr string, roots *x509.CertPool, app salesforce.App, timeout time.Duration) *salesforce.Exchanger {
	t.Helper()
	e, err := egress.New(egress.Options{Resolve: map[string]string{host + ":443": addr}, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	x, err := salesforce.New(salesforce.Options{Dialer: salesforce.Via(e), Apps: apps{app}, ExchangeTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (v *server) exchanger(t *testing.T) *salesforce.Exchanger {
	t.Helper()
	return exchanger(t, v.listener.Addr().String(), v.roots, testApp(), 5*time.Second)
}

func connect(t *testing.T, x *salesforce.Exchanger) tokens.Line {
	t.Helper()
	l, err := x.Connect(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func refresh() tokens.Credential {
	return tokens.Credential{Kind: salesforce.KindRefreshToken, SingleUse: true, Secret: secret.NewText("5Aep861old+token")}
}

func noGuard() error { return nil }

func wantError(t *testing.T, err error, code tokens.Code) {
	t.Helper()
	_ = failed(t, err, code)
}

// failed returns the error that err is, which has code.
func failed(t *testing.T, err error, code tokens.Code) *tokens.Error {
	t.Helper()
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error is %T %v, want code %s", err, err, code)
	}
	return e
}

func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}
