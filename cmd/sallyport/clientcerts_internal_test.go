package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func TestClientCertificates(t *testing.T) {
	root := newClientCA(t, "root", nil)
	issuing, gone, unlisted := newClientCA(t, "issuing", root), newClientCA(t, "gone", root), newClientCA(t, "unlisted", root)
	gone.cert, gone.key = root.sign(&x509.Certificate{SerialNumber: gone.cert.SerialNumber, Subject: gone.cert.Subject, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, false)
	other := newClientCA(t, "root", nil)
	crl := bytes.Join([][]byte{crlPEM(root.revoke(nil, 66, 77)), crlPEM(issuing.revoke(nil, 66))}, nil)
	issuing.cert.SerialNumber.SetInt64(8)
	for _, tt := range []struct {
		name string
		pair *tls.Certificate
		want string // who it is; empty: not let in
		says string
	}{
		{"none: the secret decides", nil, "nobody", ""},
		{"a client's", root.leaf(1, "billing.example"), "billing", ""},
		{"a client's, by an intermediate", issuing.leaf(1, "billing.example"), "billing", ""},
		{"nobody's: the secret decides", root.leaf(2, "other.example"), "nobody", ""},
		{"a revoked one", root.leaf(66, "billing.example"), "", "it is revoked: CN=billing.example, serial 42, by CN=root"},
		{"one that an intermediate revoked", issuing.leaf(66, "billing.example"), "", "by CN=issuing"},
		{"one whose serial another authority revoked", issuing.leaf(77, "billing.example"), "billing", ""},
		{"one by an authority without a list", unlisted.leaf(1, "billing.example"), "", "has no list of its authority, CN=unlisted"},
		{"another authority's of the same name", other.leaf(1, "billing.example"), "", ""},
		{"one that has ended", root.leaf(1, "billing.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "", ""},
		{"a server's", root.leaf(1, "billing.example", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "", ""},
	} {
		for version, number := range tlsVersions {
			t.Run(tt.name+" by "+version, func(t *testing.T) {
				d := openDoor(t, root.pem(), crl)
				name, _, _, err := d.knock(d.client(tt.pair, number))
				if name != tt.want || (err == nil) != (tt.want != "") {
					t.Errorf("got %q, %v, want %q", name, err, tt.want)
				}
				if tt.says != "" && !d.said.has(tt.says) {
					t.Errorf("the log doesn't say %q: %s", tt.says, d.said.b.String())
				}
			})
		}
	}
}

func TestARevokedIntermediate(t *testing.T) {
	root := newClientCA(t, "root", nil)
	issuing := newClientCA(t, "issuing", root) // serial 7
	pair := issuing.leaf(1, "billing.example")
	crl := append(crlPEM(root.revoke(nil, 7)), crlPEM(issuing.revoke(nil))...)
	for name, ca := range map[string][]byte{
		"below a root": root.pem(),
		"that the file names too: being named doesn't save it": append(root.pem(), issuing.pem()...),
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, ca, crl)
			if who, _, _, err := d.knock(d.client(pair, tls.VersionTLS13)); err == nil {
				t.Errorf("let in as %q", who)
			}
		})
	}
	t.Run("alone in the file: who stands above isn't known", func(t *testing.T) {
		d := openDoor(t, issuing.pem(), crlPEM(issuing.revoke(nil)))
		if who, _, _, err := d.knock(d.client(pair, tls.VersionTLS13)); err != nil || who != "billing" {
			t.Errorf("got %q, %v", who, err)
		}
	})
}

// TestWhatChangesBetweenAHandshakeAndItsResumption lets a client in by a full
// handshake and by its ticket, changes the files, and has it come by its ticket.
func TestWhatChangesBetweenAHandshakeAndItsResumption(t *testing.T) {
	root, other := newClientCA(t, "root", nil), newClientCA(t, "other", nil)
	for _, tt := range []struct {
		name    string
		pair    *tls.Certificate
		ca, crl []byte
		want    string // empty: refused
		resumed bool
		says    string
	}{
		{"nothing", root.leaf(66, "billing.example"), root.pem(), root.revoke(nil), "billing", true, ""},
		{"another certificate is revoked", root.leaf(66, "billing.example"), root.pem(), root.revoke(nil, 67), "billing", true, ""},
		{"the certificate is revoked", root.leaf(66, "billing.example"), root.pem(), root.revoke(nil, 66), "", false, "it is revoked"},
		{"the list is outdated", root.leaf(66, "billing.example"), root.pem(), root.revoke(outdated), "", false, "put the list there that the authority publishes now"},
		{"the list is another authority's", root.leaf(66, "billing.example"), root.pem(), other.revoke(nil), "", false, "has no list"},
		{"the authority is gone", root.leaf(66, "billing.example"), other.pem(), other.revoke(nil), "", false, ""},
		{"an authority is added", root.leaf(66, "billing.example"), append(other.pem(), root.pem()...), root.revoke(nil), "billing", true, ""},
		{"all, for a client without a certificate", nil, other.pem(), other.revoke(outdated), "nobody", true, ""},
	} {
		for version, number := range tlsVersions {
			t.Run(tt.name+" by "+version, func(t *testing.T) {
				d := openDoor(t, root.pem(), root.revoke(nil))
				c := d.client(tt.pair, number)
				first := "billing"
				if tt.pair == nil {
					first = "nobody"
				}
				for i, want := range []bool{false, true} {
					if who, resumed, _, err := d.knock(c); err != nil || who != first || resumed != want {
						t.Fatalf("knock %d: %q, resumed %v, %v", i, who, resumed, err)
					}
				}
				write(t, d.caFile(), tt.ca)
				write(t, d.crlFile(), tt.crl)
				if err := d.certs.reload(); err != nil {
					t.Fatal(err)
				}
				who, resumed, _, err := d.knock(c)
				if who != tt.want || (err == nil) != (tt.want != "") || err == nil && resumed != tt.resumed {
					t.Errorf("got %q, resumed %v, %v", who, resumed, err)
				}
				if !d.said.has(tt.says) {
					t.Errorf("the log doesn't say %q: %s", tt.says, d.said.b.String())
				}
			})
		}
	}
}

func TestAReloadEndsConnectionsOfRevokedCertificates(t *testing.T) {
	root, other := newClientCA(t, "root", nil), newClientCA(t, "other", nil)
	for _, tt := range []struct {
		name    string
		ca, crl []byte
		ended   bool
	}{
		{"nothing changes", root.pem(), root.revoke(nil), false},
		{"the certificate is revoked", root.pem(), root.revoke(nil, 66), true},
		{"the certificate is revoked by a list that is outdated by now", root.pem(), root.revoke(outdated, 66), true},
		{"the authority is gone", other.pem(), other.revoke(nil), true},
		{"the list is outdated", root.pem(), root.revoke(outdated), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, root.pem(), root.revoke(nil))
			_, _, conn, err := d.knock(d.client(root.leaf(66, "billing.example"), tls.VersionTLS13))
			if err != nil {
				t.Fatal(err)
			}
			_, _, secret, err := d.knock(d.client(nil, tls.VersionTLS13))
			if err != nil {
				t.Fatal(err)
			}
			write(t, d.caFile(), tt.ca)
			write(t, d.crlFile(), tt.crl)
			if err := d.certs.reload(); err != nil {
				t.Fatal(err)
			}
			if ended(conn) != tt.ended {
				t.Errorf("ended: %v", !tt.ended)
			}
			if ended(secret) {
				t.Error("a connection without a certificate was ended")
			}
			d.certs.mu.Lock()
			defer d.certs.mu.Unlock()
			if open := len(d.certs.open); (open == 0) != tt.ended {
				t.Errorf("%d connections are remembered", open)
			}
		})
	}
}

// ended reports whether the other side closed c, which otherwise says nothing.
func ended(c *tls.Conn) bool {
	if c.SetReadDeadline(time.Now().Add(100*time.Millisecond)) != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return !os.IsTimeout(err)
}

func TestAReloadThatFailsKeepsWhatWas(t *testing.T) {
	root, other := newClientCA(t, "root", nil), newClientCA(t, "root", nil)
	for _, tt := range []struct {
		name    string
		ca, crl []byte
		says    string
	}{
		{"no certificate at all", []byte("x"), nil, "clients.pem: there is no PEM block"},
		{"a certificate that is cut off", root.pem()[:200], nil, "damaged or cut off"},
		{"a second certificate that is cut off", append(root.pem(), root.pem()[:200]...), nil, "damaged or cut off"},
		{"a client's certificate", pemOf(root.leaf(1, "a.example")), nil, "CN=a.example is no certificate authority"},
		{"a key beside it", append(root.pem(), []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")...), nil, `"PRIVATE KEY"`},
		{"a list of nobody", root.pem(), []byte("x"), "clients.crl: it is no revocation list"},
		{"a list that is cut off", root.pem(), root.revoke(nil, 66)[:100], "no revocation list"},
		{"a second list that is cut off", root.pem(), append(crlPEM(root.revoke(nil)), crlPEM(root.revoke(nil))[:100]...), "damaged or cut off"},
		{"a certificate in the place of a list", root.pem(), root.pem(), `"CERTIFICATE" in it, where only "X509 CRL"`},
		{"a list by another of the same name", root.pem(), other.revoke(nil, 66), "the list names CN=root and isn't signed by it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, root.pem(), root.revoke(nil))
			write(t, d.caFile(), tt.ca)
			if tt.crl != nil {
				write(t, d.crlFile(), tt.crl)
			}
			if err := d.certs.reload(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if who, _, _, err := d.knock(d.client(root.leaf(66, "billing.example"), tls.VersionTLS13)); err != nil || who != "billing" {
				t.Errorf("got %q, %v", who, err)
			}
		})
	}
}

func TestAnOutdatedListIsToldAtTheStart(t *testing.T) {
	root := newClientCA(t, "root", nil)
	d := openDoor(t, root.pem(), root.revoke(outdated))
	if what := d.certs.amiss(time.Now()); len(what) != 1 || !strings.Contains(what[0], "clients.crl of CN=root was good until") {
		t.Errorf("amiss: %q", what)
	}
	if !d.said.has("put the list there that the authority publishes now") {
		t.Error("the log says nothing")
	}
	if who, _, _, err := d.knock(d.client(root.leaf(1, "billing.example"), tls.VersionTLS13)); err == nil {
		t.Errorf("let in as %q", who)
	}
	var none *clientCerts
	if what := none.amiss(time.Now()); len(what) != 0 {
		t.Errorf("without client certificates: %q", what)
	}
}

func TestLoadClientCertsNamesVariableAndFile(t *testing.T) {
	root := newClientCA(t, "root", nil)
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), root.pem())
	for want, files := range map[string][]string{
		"SALLYPORT_TLS_CLIENT_CA: " + dir + "/none: no such file":  {dir + "/none"},
		"SALLYPORT_TLS_CLIENT_CRL: " + dir + "/none: no such file": {ca, dir + "/none"},
	} {
		if _, err := loadClientCerts(files[0], files[1:], nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func pemOf(pair *tls.Certificate) []byte {
	return (&authorityOf{cert: pair.Leaf}).pem()
}

// TestAHandshakeDuringAReload begins by files that are replaced before the
// client's certificate is judged.
func TestAHandshakeDuringAReload(t *testing.T) {
	root, other := newClientCA(t, "root", nil), newClientCA(t, "other", nil)
	pair := root.leaf(66, "billing.example")
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}, VerifiedChains: [][]*x509.Certificate{{pair.Leaf, root.cert}}}
	for name, c := range map[string]struct{ ca, crl []byte }{
		"the authority is gone":      {other.pem(), other.revoke(nil)},
		"the certificate is revoked": {root.pem(), root.revoke(nil, 66)},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, root.pem(), root.revoke(nil))
			near, far := net.Pipe()
			defer far.Close()
			conn, asked := &certConn{Conn: near, certs: d.certs}, d.certs.current.Load()
			defer conn.Close()
			if err := d.certs.admit(conn, asked, state); err != nil {
				t.Fatalf("before the reload: %v", err)
			}
			write(t, d.caFile(), c.ca)
			write(t, d.crlFile(), c.crl)
			if err := d.certs.reload(); err != nil {
				t.Fatal(err)
			}
			if d.certs.admit(conn, asked, state) == nil {
				t.Error("the certificate was judged by what is no longer there")
			}
			if len(d.certs.open) != 0 {
				t.Error("a connection that was closed is remembered")
			}
		})
	}
}
