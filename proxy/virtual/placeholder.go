package virtual

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// KeySize is the length of the key of [New] in bytes.
const KeySize = 32

// A placeholder is ORG!MARKER then the encoded SALT NONCE CIPHERTEXT TAG, ORG being the org's 18-character id. It has
// the shape of an access token: sfdx-core reads it with (00D\w{12,15})![.\w]*.
const (
	marker    = "!AQ.sallyport.1." // What no token of Salesforce's has; the digit is the version of the form.
	orgSize   = 18
	headSize  = orgSize + len(marker)
	saltSize  = 16
	maxSize   = 511
	sealLabel = "sallyport/placeholder/1"
	signLabel = "sallyport/placeholder/signature/1"
	nonceSize = 12 // AES-GCM's.
)

// alphabet is base64url with a dot for the dash, which [.\w] doesn't have. Strict, so that each text has one encoding.
var alphabet = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._").
	WithPadding(base64.NoPadding).Strict()

// Placeholders makes and opens placeholders: access tokens that mean a client and an org to sallyport, and nothing to
// anybody else. They are sealed by AES-256-GCM under a key of their own each, derived from the key and 16 random bytes
// (HKDF, RFC 5869), so that no number of them wears the key out. What they claim can neither be read nor changed without
// the key, and the org id in clear is authenticated with it. They don't expire: the caller judges a [Claim].
//
// Placeholders is made by [New] and safe for concurrent use.
type Placeholders struct {
	seal, sign secret.Text
}

// New returns the placeholders under key, which must be [KeySize] random bytes, the same in every replica. Under another
// key, no placeholder opens that was made before, and clients log in again.
func New(key []byte) (*Placeholders, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key of placeholders has %d bytes instead of %d: derive it anew", len(key), KeySize)
	}
	seal, err := hkdf.Expand(sha256.New, key, sealLabel, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the key that seals placeholders: %w", err)
	}
	sign, err := hkdf.Expand(sha256.New, key, signLabel, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the key that signs answers: %w", err)
	}
	return &Placeholders{seal: secret.NewText(string(seal)), sign: secret.NewText(string(sign))}, nil
}

// Make returns a new placeholder for c, shorter than 512 bytes. Two for the same claim differ. It fails with a
// [ClaimError].
func (p *Placeholders) Make(c Claim) (string, error) {
	plain, organization, err := c.encode()
	if err != nil {
		return "", err
	}
	head := organization + marker
	random := make([]byte, saltSize+nonceSize, maxSize)
	rand.Read(random) // Never fails (crypto/rand, Go 1.24).
	aead, err := p.aead(random[:saltSize])
	if err != nil {
		return "", err
	}
	return head + alphabet.EncodeToString(aead.Seal(random, random[saltSize:], plain, []byte(head))), nil
}

// Open returns what the placeholder s claims. It is false for whatever [Placeholders.Make] didn't return under this key,
// to the last character. That a placeholder opens says who made it, not that its client and org still exist.
func (p *Placeholders) Open(s string) (Claim, bool) {
	if len(s) > maxSize || !IsPlaceholder(s) {
		return Claim{}, false
	}
	head, text := s[:headSize], s[headSize:]
	// The decoder skips line breaks, and would so open a text that was never made.
	if strings.ContainsAny(text, "\r\n") {
		return Claim{}, false
	}
	sealed, err := alphabet.DecodeString(text)
	if err != nil || len(sealed) < saltSize+nonceSize {
		return Claim{}, false
	}
	salt, nonce, sealed := sealed[:saltSize], sealed[saltSize:saltSize+nonceSize], sealed[saltSize+nonceSize:]
	aead, err := p.aead(salt)
	if err != nil {
		return Claim{}, false
	}
	plain, err := aead.Open(nil, nonce, sealed, []byte(head))
	if err != nil {
		return Claim{}, false
	}
	return decodeClaim(plain, head[:orgSize])
}

// IsPlaceholder reports whether s has the shape of a placeholder, one that opens or not. No token of Salesforce's has it.
func IsPlaceholder(s string) bool {
	return len(s) > headSize && s[:3] == "00D" && s[orgSize:headSize] == marker
}

// aead is the cipher of the one placeholder that has salt.
func (p *Placeholders) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, []byte(p.seal.Reveal()), string(salt), KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a placeholder's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a placeholder's cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// Sign returns the signature of an [Answer]: HMAC-SHA256 over the identity URL and issued_at, in base64, as Salesforce
// makes it with the app's secret. The same answer always has the same one. Nobody can verify it: no client has the key.
func (p *Placeholders) Sign(identityURL string, issuedAt time.Time) string {
	mac := hmac.New(sha256.New, []byte(p.sign.Reveal()))
	mac.Write([]byte(identityURL + milliseconds(issuedAt)))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
