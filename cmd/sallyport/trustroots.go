package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// usualRoots are where systems keep the public roots in one file, as crypto/x509 knows them.
var usualRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/tls/cacert.pem",                           // OpenELEC
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and newer
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, OpenBSD
	"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
}

// systemRoots are the public roots of this machine.
type systemRoots struct {
	file       string // where they were found; empty: nowhere
	certs      []*x509.Certificate
	unreadable int      // certificates that couldn't be parsed
	passedOver []string // why a file was not taken
}

// findRoots reads the file of SSL_CERT_FILE, or the first of the usual ones that is there. A file that has nothing but
// ca, or that is one of own, holds no public roots of its own: it is passed over. It fails when a file is there and
// can't be read, and when none is there.
func findRoots(sslCertFile string, usual []string, ca []*x509.Certificate, own []string) (systemRoots, error) {
	var r systemRoots
	places := usual
	if sslCertFile != "" {
		places = append([]string{sslCertFile}, usual...)
	}
	for i, place := range places {
		named := i == 0 && sslCertFile != ""
		if named && slices.ContainsFunc(own, func(o string) bool { return sameFile(o, place) }) {
			r.passedOver = append(r.passedOver, "SSL_CERT_FILE is what this command has built: the system's own roots are looked for.")
			continue
		}
		certs, unreadable, err := readRoots(place)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !named:
			continue
		case err != nil && named:
			return r, fmt.Errorf("SSL_CERT_FILE: %w", err)
		case err != nil:
			return r, err
		case !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return !slices.ContainsFunc(ca, c.Equal) }):
			r.passedOver = append(r.passedOver, place+" has no roots but sallyport's: the system's own are looked for.")
			continue
		}
		r.file, r.certs, r.unreadable = place, certs, unreadable
		return r, nil
	}
	return r, errors.New("this machine's public roots are in none of the usual files: install ca-certificates, or set SSL_CERT_FILE to the file that has them")
}

// readRoots reads a bundle of public roots. Real ones have certificates that crypto/x509 refuses; they are counted.
func readRoots(path string) (certs []*x509.Certificate, unreadable int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			unreadable++
			continue
		}
		if !slices.ContainsFunc(certs, c.Equal) {
			certs = append(certs, c)
		}
	}
	if len(certs) == 0 {
		return nil, unreadable, fmt.Errorf("%s: there is no PEM certificate in it that can be read", path)
	}
	return certs, unreadable, nil
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// pemText writes certificates, each under its name.
func pemText(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.WriteString("# " + plain(c.Subject.String()) + "\n")
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes all
	}
	return b.Bytes()
}

// bundleOf joins the CA and the public roots, each once, the CA first.
func bundleOf(ca []*x509.Certificate, roots systemRoots) []byte {
	return pemText(slices.Concat(ca, without(roots.certs, ca)))
}

func without(certs, these []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return slices.ContainsFunc(these, c.Equal) })
}
