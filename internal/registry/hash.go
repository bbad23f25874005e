package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport/sallyport/internal/secret"
)

// hashScheme stands before each hash, so that another scheme can be told apart later.
const hashScheme = "bcrypt-sha256:"

// clientSecretBytes is the entropy of a secret that the registry makes.
const clientSecretBytes = 32

var errNoSecret = errors.New("an empty secret cannot be hashed")

// HashSecret returns a slow, salted hash of s: bcrypt (default cost) over its SHA-256 digest, since bcrypt itself stops
// at 72 bytes. bcrypt needs 4 KiB a call, so that many wrong guesses at once cost time but no memory. It fails for an
// empty secret.
func HashSecret(s secret.Text) (string, error) {
	if s.IsZero() {
		return "", errNoSecret
	}
	h, err := bcrypt.GenerateFromPassword(digest(s), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash a client's secret: %w", err)
	}
	return hashScheme + string(h), nil
}

// VerifySecret reports whether hash was made of s. It is false for an empty secret and for a hash that it doesn't
// know. It takes as long as [HashSecret]: a caller on a hot path keeps the result.
func VerifySecret(hash string, s secret.Text) bool {
	h, ok := strings.CutPrefix(hash, hashScheme)
	return ok && !s.IsZero() && bcrypt.CompareHashAndPassword([]byte(h), digest(s)) == nil
}

// digest is printable, because bcrypt ends at the first NUL.
func digest(s secret.Text) []byte {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return []byte(base64.RawStdEncoding.EncodeToString(sum[:]))
}

// newSecret returns 256 random bits, base64url: it can stand in a proxy URL as it is.
func newSecret() secret.Text {
	b := make([]byte, clientSecretBytes)
	rand.Read(b) // Never fails (crypto/rand, Go 1.24).
	return secret.NewText(base64.RawURLEncoding.EncodeToString(b))
}

// addHash returns the hashes with h as the newest, the newest two of all.
func addHash(hashes []string, h string) []string {
	all := append(append([]string(nil), hashes...), h)
	return all[max(0, len(all)-2):]
}
