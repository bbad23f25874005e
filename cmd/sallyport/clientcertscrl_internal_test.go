package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// point is the extension of a list for one distribution point.
func point(t *testing.T, s scope, uris ...string) func(*x509.RevocationList) {
	t.Helper()
	for _, u := range uris {
		s.Point.FullName = append(s.Point.FullName, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(u)})
	}
	b, err := asn1.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: oidIssuingDistributionPoint, Critical: true, Value: b})
	}
}

// withoutNextUpdate takes nextUpdate out of a list, and so breaks its signature.
func withoutNextUpdate(t *testing.T, der []byte) []byte {
	t.Helper()
	var outer, inner []asn1.RawValue
	_, err := asn1.Unmarshal(der, &outer)
	if err == nil {
		_, err = asn1.Unmarshal(outer[0].FullBytes, &inner)
	}
	if err == nil {
		const nextUpdate = 4
		outer[0].FullBytes, err = asn1.Marshal(append(inner[:nextUpdate:nextUpdate], inner[nextUpdate+1:]...))
	}
	if err == nil {
		der, err = asn1.Marshal(outer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestListsThatAreRefused(t *testing.T) {
	root := newClientCA(t, "root", nil)
	for name, tt := range map[string]struct {
		der  []byte
		says string
	}{
		"no next update": {withoutNextUpdate(t, root.revoke(nil)), "nextUpdate"},
		"a delta": {root.revoke(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		}), "2.5.29.27"},
		"some reasons only":  {root.revoke(point(t, scope{SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})), "some reasons"},
		"other authorities'": {root.revoke(point(t, scope{Indirect: true})), "of other authorities"},
		"a scope that can't be read": {root.revoke(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oidIssuingDistributionPoint, Value: []byte{1}}}
		}), "can't be read"},
		"another authority's entries": {root.revoke(func(l *x509.RevocationList) { l.RevokedCertificateEntries = foreignEntry() }), "an entry of the list"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseRevocations("a.crl", tt.der); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func foreignEntry() []x509.RevocationListEntry {
	return []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: time.Now(),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}
}

func TestAListSaysNothingBeyondItsScope(t *testing.T) {
	root := newClientCA(t, "root", nil)
	at := func(uri string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{uri} }
	}
	const one, two = "http://crl.example/1", "http://crl.example/2"
	for _, tt := range []struct {
		name string
		list func(*x509.RevocationList)
		pair *tls.Certificate
		in   bool
	}{
		{"one point, a certificate of it", point(t, scope{}, one), root.leaf(1, "billing.example", at(one)), true},
		{"several points, a certificate of one", point(t, scope{}, two, one), root.leaf(1, "billing.example", at(one)), true},
		{"one point, a certificate of another", point(t, scope{}, one), root.leaf(1, "billing.example", at(two)), false},
		{"one point, a certificate of none", point(t, scope{}, one), root.leaf(1, "billing.example"), false},
		{"users' certificates", point(t, scope{OnlyUsers: true}), root.leaf(1, "billing.example"), true},
		{"authorities' certificates", point(t, scope{OnlyCAs: true}), root.leaf(1, "billing.example"), false},
		{"one point, a revoked certificate of it", point(t, scope{}, one), root.leaf(66, "billing.example", at(one)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, root.pem(), root.revoke(tt.list, 66))
			if who, _, _, err := d.knock(d.client(tt.pair, tls.VersionTLS13)); (err == nil) != tt.in {
				t.Errorf("got %q, %v", who, err)
			}
		})
	}
}

func TestTheNewestOfAnAuthoritysListsCounts(t *testing.T) {
	root := newClientCA(t, "root", nil)
	old := root.revoke(func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-3*time.Hour), time.Now().Add(-2*time.Hour)
	}, 1)
	now := root.revoke(nil, 66)
	for name, crl := range map[string][]byte{"new behind old": append(crlPEM(old), crlPEM(now)...), "old behind new": append(crlPEM(now), crlPEM(old)...)} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, root.pem(), crl)
			if who, _, _, err := d.knock(d.client(root.leaf(1, "billing.example"), tls.VersionTLS13)); err != nil || who != "billing" {
				t.Errorf("a certificate that is released again: %q, %v", who, err)
			}
			if who, _, _, err := d.knock(d.client(root.leaf(66, "billing.example"), tls.VersionTLS13)); err == nil {
				t.Errorf("a revoked certificate was let in as %q", who)
			}
		})
	}
}

func TestTheDERAndThePEMOfAListAreRead(t *testing.T) {
	root := newClientCA(t, "root", nil)
	for name, crl := range map[string][]byte{
		"DER": root.revoke(nil, 66), "PEM": crlPEM(root.revoke(nil, 66)),
		"PEM behind text": append([]byte("Certificate Revocation List (CRL):\n    Version 2\n"), crlPEM(root.revoke(nil, 66))...),
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, root.pem(), crl)
			if who, _, _, err := d.knock(d.client(root.leaf(66, "billing.example"), tls.VersionTLS13)); err == nil {
				t.Errorf("a revoked certificate was let in as %q", who)
			}
			if who, _, _, err := d.knock(d.client(root.leaf(1, "billing.example"), tls.VersionTLS13)); err != nil {
				t.Errorf("%q, %v", who, err)
			}
		})
	}
}
