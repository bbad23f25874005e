package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

var (
	errRevoked  = errors.New("it is revoked")
	errNoRoot   = errors.New("its authority is no longer in SALLYPORT_TLS_CLIENT_CA")
	errNoList   = errors.New("SALLYPORT_TLS_CLIENT_CRL has no list of its authority")
	errOutdated = errors.New("the revocation list of its authority is outdated")
)

// trust is what the files of a [clientCerts] held when they were read. It never
// changes.
type trust struct {
	pool    *x509.CertPool
	anchors []*x509.Certificate
	lists   []*revocations // none: nothing is known to be revoked
}

// readTrust reads the files. It fails with the name of the variable and the file.
func readTrust(caFile string, crlFiles []string) (*trust, error) {
	t := &trust{pool: x509.NewCertPool()}
	if err := t.readAnchors(caFile); err != nil {
		return nil, fmt.Errorf("SALLYPORT_TLS_CLIENT_CA: %s: %w", caFile, err)
	}
	for _, file := range crlFiles {
		if err := t.readLists(file); err != nil {
			return nil, fmt.Errorf("SALLYPORT_TLS_CLIENT_CRL: %s: %w", file, err)
		}
	}
	return t, nil
}

func (t *trust) readAnchors(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return cause(err)
	}
	ders, err := pemBlocks(b, "CERTIFICATE")
	if err != nil {
		return err
	}
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return fmt.Errorf("a certificate can't be read: %w", err)
		case !c.BasicConstraintsValid || !c.IsCA:
			return fmt.Errorf("%s is no certificate authority: name the authority that issues the clients' certificates", c.Subject)
		}
		t.pool.AddCert(c)
		t.anchors = append(t.anchors, c)
	}
	return nil
}

func (t *trust) readLists(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return cause(err)
	}
	ders := [][]byte{b}
	if block, _ := pem.Decode(b); block != nil || bytes.Contains(b, pemBegin) {
		if ders, err = pemBlocks(b, "X509 CRL"); err != nil {
			return err
		}
	}
	for _, der := range ders {
		l, err := parseRevocations(file, der)
		if err == nil {
			err = t.signed(l)
		}
		if err != nil {
			return err
		}
		t.lists = append(t.lists, l)
	}
	return nil
}

// signed refuses a list that bears an anchor's name and isn't its. The issuers of
// other lists may be known only once a client shows them.
func (t *trust) signed(l *revocations) error {
	var why error
	for _, c := range t.anchors {
		if !bytes.Equal(c.RawSubject, l.crl.RawIssuer) {
			continue
		}
		if why = l.crl.CheckSignatureFrom(c); why == nil {
			return nil
		}
	}
	if why != nil {
		return fmt.Errorf("the list names %s and isn't signed by it: %w", l.crl.Issuer, why)
	}
	return nil
}

var pemBegin = []byte("-----BEGIN ")

// pemBlocks returns what the PEM blocks of b hold, at least one. It fails for a
// block of another type and for one that is cut off or damaged, which package pem
// would pass over.
func pemBlocks(b []byte, kind string) ([][]byte, error) {
	var ders [][]byte
	begun := bytes.Count(b, pemBegin)
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			return nil, fmt.Errorf("there is a PEM block %q in it, where only %q belongs", block.Type, kind)
		}
		ders = append(ders, block.Bytes)
	}
	switch {
	case len(ders) != begun:
		return nil, errors.New("a PEM block in it is damaged or cut off")
	case begun == 0:
		return nil, fmt.Errorf("there is no PEM block %q in it", kind)
	}
	return ders, nil
}

// cause drops the path of a file's error, which the message has already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// verify builds the chains of a certificate that a client showed.
func (t *trust) verify(shown []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	return shown[0].Verify(x509.VerifyOptions{Roots: t.pool, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// check passes when one of chains holds no certificate that is revoked, or whose
// authority has no list that is up to date. Of several chains, the first one's
// fault is returned.
func (t *trust) check(chains [][]*x509.Certificate, now time.Time) error {
	first := errNoRoot
	for i, chain := range chains {
		err := t.checkChain(chain, now)
		if err == nil {
			return nil
		}
		if i == 0 {
			first = err
		}
	}
	return first
}

func (t *trust) checkChain(chain []*x509.Certificate, now time.Time) error {
	if len(t.lists) == 0 {
		return nil
	}
	var doubt error
	for i, chain := 0, t.upwards(chain); i < len(chain)-1; i++ {
		err := t.checkCert(chain[i], chain[i+1], now)
		if errors.Is(err, errRevoked) {
			return err
		}
		if doubt == nil {
			doubt = err
		}
	}
	return doubt
}

// upwards goes on beyond an anchor that another anchor has issued: being named in
// the file doesn't save it from revocation.
func (t *trust) upwards(chain []*x509.Certificate) []*x509.Certificate {
	whole := append([]*x509.Certificate(nil), chain...)
	for range t.anchors {
		last := whole[len(whole)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		for _, c := range t.anchors {
			if bytes.Equal(last.RawIssuer, c.RawSubject) && last.CheckSignatureFrom(c) == nil {
				whole = append(whole, c)
				break
			}
		}
	}
	return whole
}

func (t *trust) checkCert(c, issuer *x509.Certificate, now time.Time) error {
	l := t.list(c, issuer)
	switch {
	case l == nil:
		return fmt.Errorf("%w, %s: add the list that this authority publishes", errNoList, issuer.Subject)
	case l.has(c.SerialNumber):
		return fmt.Errorf("%w: %s, serial %x, by %s", errRevoked, c.Subject, c.SerialNumber, issuer.Subject)
	case now.After(l.crl.NextUpdate):
		return fmt.Errorf("%w: %s of %s was good until %s; put the list there that the authority publishes now", errOutdated,
			l.file, issuer.Subject, l.crl.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// list returns the newest list of issuer that covers c; nil when there is none.
func (t *trust) list(c, issuer *x509.Certificate) *revocations {
	var newest *revocations
	for _, l := range t.lists {
		if l.covers(c) && l.by(issuer) && (newest == nil || l.crl.ThisUpdate.After(newest.crl.ThisUpdate)) {
			newest = l
		}
	}
	return newest
}

// stands tells why the connection of a client with these chains must end, or nil.
func (t *trust) stands(chains [][]*x509.Certificate) error {
	why := errNoRoot
	for _, chain := range chains {
		root := chain[len(chain)-1]
		for _, c := range t.anchors {
			if !bytes.Equal(c.RawSubject, root.RawSubject) || !bytes.Equal(c.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
				continue // an authority whose certificate was renewed is still the same
			}
			err := t.checkChain(chain, time.Time{})
			if !errors.Is(err, errRevoked) {
				return nil
			}
			why = err
		}
	}
	return why
}

// amiss tells what keeps all certificates of an authority from being accepted.
func (t *trust) amiss(now time.Time) []string {
	var all []string
	for _, c := range t.anchors {
		if now.After(c.NotAfter) {
			all = append(all, fmt.Sprintf("SALLYPORT_TLS_CLIENT_CA: %s has ended on %s: put its successor there", c.Subject, c.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	for _, l := range t.lists {
		if now.After(l.crl.NextUpdate) {
			all = append(all, fmt.Sprintf("SALLYPORT_TLS_CLIENT_CRL: %s of %s was good until %s: put the list there that the authority publishes now", l.file, l.crl.Issuer,
				l.crl.NextUpdate.UTC().Format(time.RFC3339)))
		}
	}
	return all
}
