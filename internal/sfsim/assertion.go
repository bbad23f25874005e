package sfsim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxCertificate is the size of the largest certificate that Setup takes.
const maxCertificate = 4096

// readCertificate returns the RSA key of a PEM certificate or public key. It
// fails on anything else and on more than 4 KB.
func readCertificate(text []byte) (*rsa.PublicKey, error) {
	if len(text) > maxCertificate {
		return nil, errors.New("sfsim: a certificate has at most 4 KB")
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("sfsim: the certificate isn't PEM")
	}
	var public any
	if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
		public = cert.PublicKey
	} else if public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, errors.New("sfsim: the PEM block is neither a certificate nor a public key")
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("sfsim: the certificate's key isn't RSA")
	}
	return key, nil
}

// assertion is a JWT that a client signed.
type assertion struct {
	signed string // what the signature covers
	alg    string
	sig    []byte
	claims map[string]any
}

// readAssertion parses a JWT and checks nothing of it.
func readAssertion(text string) (assertion, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return assertion{}, false
	}
	var head struct{ Alg string }
	v := assertion{signed: parts[0] + "." + parts[1]}
	var err error
	if v.sig, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil || !readPart(parts[0], &head) || !readPart(parts[1], &v.claims) {
		return assertion{}, false
	}
	v.alg = head.Alg
	return v, true
}

func readPart(text string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.Unmarshal(b, into) == nil
}

// by reports whether key signed the assertion with RS256, the only algorithm
// that is taken.
func (v assertion) by(key *rsa.PublicKey) bool {
	sum := sha256.Sum256([]byte(v.signed))
	return v.alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], v.sig) == nil
}

func (v assertion) text(claim string) string {
	s, _ := v.claims[claim].(string)
	return s
}

// audience returns the aud claim, which may be a string or a list of one.
func (v assertion) audience() string {
	if list, ok := v.claims["aud"].([]any); ok && len(list) == 1 {
		s, _ := list[0].(string)
		return s
	}
	return v.text("aud")
}

// clockSkew is what Salesforce allows a client's clock to be behind.
const clockSkew = 3 * time.Minute

// current reports whether the exp claim, seconds since 1970 as a number or as a
// string, is not over. There is no upper bound: clients that send milliseconds
// are served.
func (v assertion) current(now time.Time) (current, ok bool) {
	var exp float64
	switch e := v.claims["exp"].(type) {
	case float64:
		exp = e
	case string:
		n, err := strconv.ParseFloat(e, 64)
		if err != nil {
			return false, false
		}
		exp = n
	default:
		return false, false
	}
	return float64(now.Add(-clockSkew).Unix()) < exp, true
}
