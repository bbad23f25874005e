package lab_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// certAuthority issues certificates for an hour.
type certAuthority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCertAuthority(t *testing.T, name string) *certAuthority {
	t.Helper()
	a := &certAuthority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	return a
}

func (a *certAuthority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by, with := a.cert, a.key
	if by == nil {
		by, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), with)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *certAuthority) issue(serial int64, dns string) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: dns}, DNSNames: []string{dns},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *certAuthority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *certAuthority) crl(next time.Time, serials ...int64) []byte {
	a.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: next}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// certLab is a lab whose proxy listens on TLS and asks for certificates of clients.
type certLab struct {
	*lab.Lab
	t       *testing.T
	dir     string
	addr    string
	clients *certAuthority
	server  *certAuthority
}

func (l *certLab) put(name string, b []byte) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func newCertLab(t *testing.T) *certLab {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	l := &certLab{t: t, dir: t.TempDir(), addr: free.Addr().String(), clients: newCertAuthority(t, "clients"), server: newCertAuthority(t, "server")}
	pair := l.server.issue(2, "localhost")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(l.dir, "lab")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Lab, err = lab.New(lab.Options{Binary: binary, Dir: state, Orgs: []string{"acme"}, Session: time.Hour, Env: []string{
		"SALLYPORT_LISTEN=https://" + l.addr,
		"SALLYPORT_TLS_CERT=" + l.put("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
		"SALLYPORT_TLS_KEY=" + l.put("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"SALLYPORT_TLS_CLIENT_CA=" + l.put("clients.pem", l.clients.pem()),
		"SALLYPORT_TLS_CLIENT_CRL=" + l.put("clients.crl", l.clients.crl(time.Now().Add(time.Hour))),
	}})
	if err != nil {
		t.Fatal(err)
	}
	l.certify("certificates: ['dns:billing.example'], ")
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// certify writes the resources file with fields for the client billing.
func (l *certLab) certify(fields string) {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, "lab", "resources.yaml"))
	if err != nil {
		l.t.Fatal(err)
	}
	head, tail, _ := strings.Cut(string(b), "{name: billing, ")
	_, tail, _ = strings.Cut(tail, "secret:")
	l.put("lab/resources.yaml", []byte(head+"{name: billing, "+fields+"secret:"+tail))
}

// config is a client's that shows pair, if any, and keeps sessions.
func (l *certLab) config(pair *tls.Certificate) *tls.Config {
	roots := l.Roots.Clone()
	roots.AddCert(l.server.cert)
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if pair != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return c
}

func (l *certLab) caller(pair *tls.Certificate, user *url.Userinfo) *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: l.addr, User: user}), TLSClientConfig: l.config(pair)}
	l.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func TestClientCertificatesInThePlaceOfSecrets(t *testing.T) {
	l := newCertLab(t)
	billing, nobody := l.clients.issue(10, "billing.example"), l.clients.issue(11, "nobody.example")
	stranger := newCertAuthority(t, "clients").issue(10, "billing.example")
	secret := url.UserPassword(lab.Client, l.Secret)
	for _, tt := range []struct {
		name string
		pair *tls.Certificate
		user *url.Userinfo
		says string // why it isn't let in; empty: it is
	}{
		{"a certificate alone", &billing, nil, ""},
		{"a certificate and the same client's name with an org", &billing, url.UserPassword(lab.Client+"+acme", ""), ""},
		{"a certificate and another client's name", &billing, url.UserPassword("other", l.Secret), "Proxy Authentication Required"},
		{"a secret alone", nil, secret, ""},
		{"nobody's certificate and the right secret", &nobody, secret, ""},
		{"nobody's certificate", &nobody, nil, "Proxy Authentication Required"},
		{"neither", nil, nil, "Proxy Authentication Required"},
		{"an unknown authority's certificate and the right secret", &stranger, secret, "tls: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen, err := l.Call(t.Context(), l.caller(tt.pair, tt.user), "acme")
			if tt.says == "" && (err != nil || seen.Status != http.StatusOK) || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %d %s, %v; want %q", seen.Status, seen.Body, err, tt.says)
			}
		})
	}
}

// connect opens a tunnel by certificate alone.
func (l *certLab) connect(c *tls.Config) (*tls.Conn, bool, error) {
	l.t.Helper()
	c = c.Clone()
	c.ServerName = "localhost"
	conn, err := tls.Dial("tcp", l.addr, c)
	if err != nil {
		return nil, false, err
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "CONNECT "+lab.Host("acme")+":443 HTTP/1.1\r\nHost: "+lab.Host("acme")+":443\r\n\r\n"); err != nil {
		return nil, false, err
	}
	want := []byte("HTTP/1.1 200 ")
	got := make([]byte, 512)
	n, err := conn.Read(got)
	if err == nil && !bytes.HasPrefix(got[:n], want) {
		l.t.Fatalf("got %q", got[:n])
	}
	return conn, conn.ConnectionState().DidResume, err
}

// endsWithin waits for the other side to close a tunnel that says nothing.
func endsWithin(t *testing.T, conn *tls.Conn, d time.Duration) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the tunnel is still there after %v: %v", d, err)
	}
}

func TestATunnelEndsWithItsCertificate(t *testing.T) {
	l := newCertLab(t)
	billing := l.clients.issue(10, "billing.example")
	c := l.config(&billing)
	for i := range 2 {
		if _, resumed, err := l.connect(c); err != nil || resumed != (i == 1) {
			t.Fatalf("tunnel %d: resumed %v, %v", i, resumed, err)
		}
	}

	t.Run("when the registry takes it from the client", func(t *testing.T) {
		conn, _, err := l.connect(c)
		if err != nil {
			t.Fatal(err)
		}
		l.certify("certificates: ['dns:other.example'], ")
		endsWithin(t, conn, 2*time.Second) // 200 ms of quiet, and the second that the contract gives
		l.certify("certificates: ['dns:billing.example'], ")
		l.await(t, "its certificate isn't taken again", func() bool { return l.status(&billing) == http.StatusOK })
	})
	t.Run("when its authority revokes it", func(t *testing.T) {
		conn, _, err := l.connect(c)
		if err != nil {
			t.Fatal(err)
		}
		l.put("clients.crl", l.clients.crl(time.Now().Add(time.Hour), 10))
		endsWithin(t, conn, 2*time.Second)
		if _, resumed, err := l.connect(c); err == nil {
			t.Errorf("let in again, resumed %v", resumed)
		}
		if _, _, err := l.connect(l.config(&billing)); err == nil {
			t.Error("let in again by a full handshake")
		}
	})
	t.Run("until its authority releases it", func(t *testing.T) {
		l.put("clients.crl", l.clients.crl(time.Now().Add(time.Hour)))
		l.await(t, "it isn't let in again", func() bool { return l.status(&billing) == http.StatusOK })
	})
	t.Run("not by a list that is outdated, which refuses new ones and is told", func(t *testing.T) {
		conn, _, err := l.connect(c)
		if err != nil {
			t.Fatal(err)
		}
		l.put("clients.crl", l.clients.crl(time.Now().Add(-time.Minute)))
		l.await(t, "it is still let in", func() bool { return l.status(&billing) != http.StatusOK })
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("a tunnel was ended: %v", err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Admin+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "clients.crl of CN=clients was good until") {
			t.Errorf("readyz: %d %s, %v", resp.StatusCode, body, err)
		}
	})
}

// status is that of a call with a certificate alone; 0 when there is no answer.
func (l *certLab) status(pair *tls.Certificate) int {
	c := l.caller(pair, nil)
	defer c.CloseIdleConnections()
	seen, err := l.Call(l.t.Context(), c, "acme")
	if err != nil {
		return 0
	}
	return seen.Status
}

func (l *certLab) await(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	again, end := time.NewTicker(50*time.Millisecond), time.After(10*time.Second)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-end:
			t.Fatal(otherwise)
		}
	}
}
