package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
)

// revocations is a certificate revocation list (RFC 5280, section 5). It is safe
// for concurrent use.
type revocations struct {
	file    string
	crl     *x509.RevocationList // what CheckSignatureFrom needs, issuer and times; not the entries
	serials map[string]struct{}
	scope   scope
	issuers sync.Map // Raw of a certificate to whether it signed the list
}

// scope is the issuing distribution point of a list (RFC 5280, section 5.2.5).
type scope struct {
	Point       pointName      `asn1:"optional,tag:0"`
	OnlyUsers   bool           `asn1:"optional,tag:1"`
	OnlyCAs     bool           `asn1:"optional,tag:2"`
	SomeReasons asn1.BitString `asn1:"optional,tag:3"`
	Indirect    bool           `asn1:"optional,tag:4"`
	Attributes  bool           `asn1:"optional,tag:5"`
}

type pointName struct {
	FullName []asn1.RawValue  `asn1:"optional,tag:0"`
	Relative pkix.RDNSequence `asn1:"optional,tag:1"`
}

var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// parseRevocations reads a complete list. It fails for a delta, for one of some
// reasons only, and for any whose critical extensions it doesn't know, as
// RFC 5280, section 5.2, demands.
func parseRevocations(file string, der []byte) (*revocations, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("it is no revocation list in PEM or DER: %w", err)
	}
	l := &revocations{file: file, serials: make(map[string]struct{}, len(crl.RevokedCertificateEntries))}
	if crl.NextUpdate.IsZero() {
		return nil, errors.New("the list doesn't say when the next one is due (nextUpdate), so that nothing would tell when it is outdated")
	}
	for _, e := range crl.Extensions {
		switch {
		case e.Id.Equal(oidIssuingDistributionPoint):
			if err := l.scope.parse(e.Value); err != nil {
				return nil, err
			}
		case e.Critical:
			return nil, fmt.Errorf("the list has the critical extension %v, which isn't known here: give a complete list, no delta", e.Id)
		}
	}
	for _, e := range crl.RevokedCertificateEntries {
		if slices.ContainsFunc(e.Extensions, func(x pkix.Extension) bool { return x.Critical }) {
			return nil, errors.New("an entry of the list has a critical extension, which isn't known here: give a list of one authority alone")
		}
		l.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	l.crl = &x509.RevocationList{RawTBSRevocationList: crl.RawTBSRevocationList, Signature: crl.Signature, SignatureAlgorithm: crl.SignatureAlgorithm,
		RawIssuer: crl.RawIssuer, Issuer: crl.Issuer, ThisUpdate: crl.ThisUpdate, NextUpdate: crl.NextUpdate}
	return l, nil
}

func (s *scope) parse(b []byte) error {
	rest, err := asn1.Unmarshal(b, s)
	switch {
	case err != nil || len(rest) > 0:
		return errors.New("the list's issuing distribution point can't be read")
	case s.SomeReasons.BitLength > 0, s.Indirect, s.Attributes, len(s.Point.Relative) > 0:
		return errors.New("the list is one of some reasons, of other authorities or of attributes: give a complete list of one authority")
	}
	return nil
}

// covers reports whether a certificate that isn't in l is thereby not revoked: a
// list for one distribution point says nothing of others' certificates (RFC 5280,
// section 6.3.3).
func (l *revocations) covers(c *x509.Certificate) bool {
	if l.scope.OnlyUsers && c.IsCA || l.scope.OnlyCAs && !c.IsCA {
		return false
	}
	if len(l.scope.Point.FullName) == 0 {
		return true
	}
	const uri = 6 // GeneralName's uniformResourceIdentifier
	return slices.ContainsFunc(l.scope.Point.FullName, func(n asn1.RawValue) bool {
		return n.Class == asn1.ClassContextSpecific && n.Tag == uri && slices.Contains(c.CRLDistributionPoints, string(n.Bytes))
	})
}

// by reports whether issuer signed l. A signature is verified once for each.
func (l *revocations) by(issuer *x509.Certificate) bool {
	if !bytes.Equal(l.crl.RawIssuer, issuer.RawSubject) {
		return false
	}
	if known, ok := l.issuers.Load(string(issuer.Raw)); ok {
		return known.(bool)
	}
	ok := l.crl.CheckSignatureFrom(issuer) == nil
	l.issuers.Store(string(issuer.Raw), ok)
	return ok
}

func (l *revocations) has(serial *big.Int) bool {
	_, ok := l.serials[string(serial.Bytes())]
	return ok
}
