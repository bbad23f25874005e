package proxy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

var salesforceDomains = []string{"salesforce.com", "force.com", "my.site.com"}

func newAuthority(t testing.TB, domains ...string) *proxy.Authority {
	t.Helper()
	a, err := proxy.NewAuthority(domains, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newLeaves(t *testing.T, a *proxy.Authority) proxy.Leaves {
	t.Helper()
	l, err := proxy.NewLeaves(a)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serveLeaf answers handshakes with c until the test ends.
func serveLeaf(t *testing.T, c *tls.Certificate) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // Ends when the listener is closed.
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { // Ends when the client closes, at the latest after 10 s.
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				tc := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*c}})
				if tc.Handshake() == nil {
					_, _ = tc.Read(make([]byte, 1))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func TestVerifiersKeepTheCAToItsDomains(t *testing.T) {
	a := newAuthority(t, salesforceDomains...)
	leaves := newLeaves(t, a)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, proxy.Export(a), 0o600); err != nil {
		t.Fatal(err)
	}
	names := []string{"acme.my.salesforce.com", "www.bank.example", "127.0.0.1"}
	ports := make(map[string]string)
	args := []string{roots}
	for _, n := range names {
		c, err := leaves.Mint(n)
		if err != nil {
			t.Fatal(err)
		}
		ports[n] = serveLeaf(t, c)
		args = append(args, n, ports[n])
	}
	script := func(command ...string) func(*testing.T) string {
		return func(t *testing.T) string { return run(t, append(command, args...)...) }
	}
	for _, tt := range []struct {
		verifier string
		report   func(*testing.T) string
	}{
		{"Go", func(t *testing.T) string {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(proxy.Export(a))
			var b strings.Builder
			for _, n := range names {
				c, err := tls.Dial("tcp", "127.0.0.1:"+ports[n], &tls.Config{RootCAs: pool, ServerName: n})
				if err != nil {
					fmt.Fprintln(&b, n, "refused", err)
					continue
				}
				c.Close()
				fmt.Fprintln(&b, n, "accepted")
			}
			return b.String()
		}},
		{"OpenSSL", func(t *testing.T) string {
			var b strings.Builder
			for _, n := range names {
				check := "-verify_hostname"
				if net.ParseIP(n) != nil {
					check = "-verify_ip"
				}
				out := run(t, "openssl", "s_client", "-connect", "127.0.0.1:"+ports[n], "-servername", "x.salesforce.com",
					check, n, "-verify_return_error", "-CAfile", roots, "-no-CApath", "-no-CAstore", "-brief")
				verdict := "refused"
				if strings.Contains(out, "Verification: OK") {
					verdict = "accepted"
				}
				fmt.Fprintln(&b, n, verdict, out)
			}
			return b.String()
		}},
		{"Java", script("java", "testdata/Verify.java")},
		{"Node", script("node", "testdata/verify.js")},
		{"Python", script("python3", "testdata/verify.py")},
	} {
		t.Run(tt.verifier, func(t *testing.T) {
			out := tt.report(t)
			for _, n := range names {
				want := " refused"
				if n == names[0] {
					want = " accepted"
				}
				if !strings.Contains(out, n+want) {
					t.Errorf("%s: want%s\n%s", n, want, out)
				}
			}
		})
	}
}

// run runs a program that must be installed and returns what it prints; its exit code is part of what is tested.
func run(t *testing.T, command ...string) string {
	t.Helper()
	path, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatalf("%s is needed to test the CA: install openssl, a JDK of 17 or later, nodejs and python3", command[0])
	}
	cmd := exec.CommandContext(t.Context(), path, command[1:]...)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func TestAuthorityIsMadeAsPromised(t *testing.T) {
	a := newAuthority(t, salesforceDomains...)
	for _, c := range []*x509.Certificate{a.Root(), a.Issuer()} {
		if !c.PermittedDNSDomainsCritical || strings.Join(c.PermittedDNSDomains, " ") != strings.Join(salesforceDomains, " ") || len(c.ExcludedIPRanges) != 2 {
			t.Errorf("%s: constraints %v, critical %v, excluded %v", c.Subject, c.PermittedDNSDomains, c.PermittedDNSDomainsCritical, c.ExcludedIPRanges)
		}
		if years := time.Until(c.NotAfter).Hours() / 24 / 365; years < 9.9 || years > 10.1 {
			t.Errorf("%s: %v years", c.Subject, years)
		}
	}
	leaf, err := newLeaves(t, a).Mint("acme.my.salesforce.com")
	if err != nil {
		t.Fatal(err)
	}
	if l := leaf.Leaf; l.NotAfter.Sub(l.NotBefore) != 72*time.Hour || len(l.DNSNames) != 1 || l.Subject.CommonName != "" {
		t.Errorf("leaf: %v to %v for %v, %s", l.NotBefore, l.NotAfter, l.DNSNames, l.Subject)
	}
	if len(leaf.Certificate) != 2 {
		t.Errorf("%d certificates are sent, want the leaf and the intermediate", len(leaf.Certificate))
	}
}

func TestNewAuthorityRefuses(t *testing.T) {
	for name, domains := range map[string][]string{
		"no domain": nil, "an empty one": {""}, "a pattern": {"*.salesforce.com"}, "a leading dot": {".salesforce.com"},
	} {
		if _, err := proxy.NewAuthority(domains, time.Now()); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAuthorityGoesThroughPEM(t *testing.T) {
	a := newAuthority(t, "salesforce.com")
	p, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := proxy.ParseAuthority(p)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Root().Equal(a.Root()) || !b.Issuer().Equal(a.Issuer()) {
		t.Error("another authority came back")
	}
	other, _ := newAuthority(t, "salesforce.com").Marshal()
	for name, bad := range map[string]proxy.AuthorityPEM{
		"no key":                  {Root: p.Root, Intermediate: p.Intermediate},
		"another key":             {Root: p.Root, Intermediate: p.Intermediate, Key: other.Key},
		"another root":            {Root: other.Root, Intermediate: p.Intermediate, Key: p.Key},
		"no intermediate":         {Root: p.Root, Key: p.Key},
		"garbage for a root":      {Root: []byte("garbage"), Intermediate: p.Intermediate, Key: p.Key},
		"a damaged key":           {Root: p.Root, Intermediate: p.Intermediate, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})},
		"a certificate for a key": {Root: p.Root, Intermediate: p.Intermediate, Key: p.Root},
	} {
		if _, err := proxy.ParseAuthority(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestBringAuthority(t *testing.T) {
	a := newAuthority(t, "salesforce.com")
	p, _ := a.Marshal()
	own, err := proxy.BringAuthority(append(bytes.Clone(p.Intermediate), p.Root...), p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(proxy.Export(own), p.Root) {
		t.Error("the root isn't what is exported")
	}
	alone, err := proxy.BringAuthority(p.Intermediate, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(proxy.Export(alone), p.Intermediate) {
		t.Error("without a root the signer is what clients trust")
	}
	leaf, err := newLeaves(t, a).Mint("acme.my.salesforce.com")
	if err != nil {
		t.Fatal(err)
	}
	noCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})
	if _, err := proxy.BringAuthority(noCA, p.Key); err == nil || !strings.Contains(err.Error(), "no CA") {
		t.Errorf("a leaf was taken for a CA: %v", err)
	}
}

func TestExportDuringARotationHasBothRoots(t *testing.T) {
	a, b := newAuthority(t, "salesforce.com"), newAuthority(t, "salesforce.com")
	if n := bytes.Count(proxy.Export(a, b, a), []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("%d roots, want 2", n)
	}
}
