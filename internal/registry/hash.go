package registry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport/sallyport/internal/secret"
)

// What stands before each hash, to tell the schemes apart.
const (
	slowScheme = "bcrypt-sha256:"
	fastScheme = "hmac-sha256:"
)

// saltSize is the length of a fast hash's salt in bytes.
const saltSize = 16

var errNoSecret = errors.New("an empty secret cannot be hashed")

// HashSecret returns a salted hash of s, whose form decides how.
//
// A secret that [GenerateSecret] made gets a fast one, HMAC-SHA-256 keyed with the salt. That is safe at rest: slowness
// makes a search through likely secrets dearer, and 256 random bits leave nothing to search through, at any speed. The
// salt keeps equal secrets from having equal hashes.
//
// Any other was chosen by somebody and may be guessable. It gets a slow one: bcrypt (default cost) over its SHA-256
// digest, since bcrypt itself stops at 72 bytes. bcrypt needs 4 KiB a call, so that many wrong guesses at once cost
// time but no memory.
//
// It fails for an empty secret.
func HashSecret(s secret.Text) (string, error) {
	if s.IsZero() {
		return "", errNoSecret
	}
	if IsGenerated(s) {
		salt := make([]byte, saltSize)
		rand.Read(salt) // Never fails (crypto/rand, Go 1.24).
		return fastScheme + encode(salt) + ":" + encode(fastSum(salt, s)), nil
	}
	h, err := bcrypt.GenerateFromPassword(digest(s), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash a client's secret: %w", err)
	}
	return slowScheme + string(h), nil
}

// VerifySecret reports whether hash was made of s, in a time that doesn't depend on how much of it is right. It is false
// for an empty secret and for a hash that it doesn't know. It takes as long as [HashSecret] did: a caller on a hot path
// keeps the result for a hash that isn't fast ([IsFastHash]).
func VerifySecret(hash string, s secret.Text) bool {
	if s.IsZero() {
		return false
	}
	if rest, ok := strings.CutPrefix(hash, fastScheme); ok {
		first, second, _ := strings.Cut(rest, ":")
		salt, err1 := decode(first)
		sum, err2 := decode(second)
		return err1 == nil && err2 == nil && len(salt) == saltSize && hmac.Equal(sum, fastSum(salt, s))
	}
	h, ok := strings.CutPrefix(hash, slowScheme)
	return ok && bcrypt.CompareHashAndPassword([]byte(h), digest(s)) == nil
}

// IsFastHash reports whether [VerifySecret] takes microseconds for hash. Such a hash belongs to a secret that
// [GenerateSecret] made, and to no other.
func IsFastHash(hash string) bool { return strings.HasPrefix(hash, fastScheme) }

func fastSum(salt []byte, s secret.Text) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(s.Reveal()))
	return mac.Sum(nil)
}

// digest is printable, because bcrypt ends at the first NUL.
func digest(s secret.Text) []byte {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return []byte(base64.RawStdEncoding.EncodeToString(sum[:]))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }

// addHash returns the hashes with h as the newest, the newest two of all.
func addHash(hashes []string, h string) []string {
	all := append(append([]string(nil), hashes...), h)
	return all[max(0, len(all)-2):]
}
