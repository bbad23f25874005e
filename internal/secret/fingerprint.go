package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// FingerprintKeySize is the length of a fingerprint key in bytes.
const FingerprintKeySize = 32

const fingerprintSize = 16

// Fingerprints names tokens without showing them. One deployment has one key for ever: with another, no fingerprint
// ever written matches again. It is safe for concurrent use.
type Fingerprints struct {
	key Text
}

// NewFingerprintKey returns a new random key for [NewFingerprinter].
func NewFingerprintKey() []byte {
	key := make([]byte, FingerprintKeySize)
	rand.Read(key) // Never fails (crypto/rand, Go 1.24).
	return key
}

// NewFingerprinter returns the fingerprints under key, which must be [FingerprintKeySize] bytes.
func NewFingerprinter(key []byte) (*Fingerprints, error) {
	if len(key) != FingerprintKeySize {
		return nil, fmt.Errorf("the fingerprint key has %d bytes instead of %d: it was truncated or is another file",
			len(key), FingerprintKeySize)
	}
	return &Fingerprints{key: NewText(string(key))}, nil
}

// Of returns the fingerprint of token: HMAC-SHA256, cut to 16 bytes, base64url without padding, 22 characters. Of an
// empty token it is empty, so that "no token" never looks like a token that is known.
func (f *Fingerprints) Of(token string) string {
	if token == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(f.key.Reveal()))
	mac.Write([]byte(token))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:fingerprintSize])
}
