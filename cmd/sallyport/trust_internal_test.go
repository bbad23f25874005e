package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate; without a parent it signs itself.
func issue(t *testing.T, template x509.Certificate, parent *issued) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	template.BasicConstraintsValid = true
	self := &issued{&template, key}
	if parent == nil {
		parent = self
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return self
}

func root(t *testing.T, name string) *issued {
	return issue(t, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil)
}

func (i *issued) write(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, certFile, pemText([]*x509.Certificate{i.cert}))
	writeFile(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func server(t *testing.T, parent *issued, name string) *issued {
	return issue(t, x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, parent)
}

func TestTheTrustStoreHoldsEachCertificateOnce(t *testing.T) {
	ca, a, b := root(t, "sallyport"), root(t, "Ünïque"), root(t, "Public")
	raw, err := javaStore([]*x509.Certificate{ca.cert}, []*x509.Certificate{a.cert, b.cert, ca.cert})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), trustJava)
	writeFile(t, path, raw)
	certs, err := readJavaStore(path, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range certs {
		got = append(got, c.Subject.CommonName)
	}
	if diff := cmp.Diff([]string{"sallyport", "Ünïque", "Public"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := readJavaStore(path, "wrong"); err == nil {
		t.Error("a wrong password opens it")
	}
	writeFile(t, path, []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2})
	if _, err := readJavaStore(path, "changeit"); !errors.Is(err, errJKS) {
		t.Errorf("a JKS file: %v", err)
	}
}

func TestRootsAreReadAsRealBundlesAre(t *testing.T) {
	dir, good := t.TempDir(), root(t, "Public")
	one := pemText([]*x509.Certificate{good.cert})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}})
	path := filepath.Join(dir, "roots.pem")
	writeFile(t, path, append(append(append([]byte("# a comment\n"), broken...), one...), one...))
	r, err := findRoots("", []string{dir + "/missing.pem", path}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.file != path || len(r.certs) != 1 || r.unreadable != 1 {
		t.Errorf("%d certificates, %d unreadable, from %s", len(r.certs), r.unreadable, r.file)
	}
	if _, err := findRoots("", []string{dir + "/missing.pem"}, nil, nil); err == nil {
		t.Error("no file at all is no error")
	}
	writeFile(t, path, broken)
	if _, err := findRoots("", []string{path}, nil, nil); err == nil {
		t.Error("a file without a single root is no error")
	}
}

func TestOnlyOwnFilesAreReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	file := func(text string) []trustFile { return []trustFile{{trustCA, []byte(text)}} }
	path := filepath.Join(dir, trustCA)
	if err := writeTrust(dir, file("first"), false); err != nil {
		t.Fatal(err)
	}
	if err := writeTrust(dir, file("second"), false); err != nil {
		t.Errorf("its own file: %v", err)
	}
	writeFile(t, path, []byte("changed"))
	foreign := (*foreignError)(nil)
	if err := writeTrust(dir, file("third"), false); !errors.As(err, &foreign) || foreign.path != path {
		t.Errorf("a changed file: %v", err)
	}
	if err := writeTrust(dir, file("changed"), false); err != nil {
		t.Errorf("a file that is as it should be: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink("/dev/null", path)); err != nil {
		t.Fatal(err)
	}
	if err := writeTrust(dir, file("fourth"), true); err == nil {
		t.Error("a symbolic link was replaced")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
