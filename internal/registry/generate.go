package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
)

// generatedPrefix stands before a secret that sallyport makes, with the version of its form.
const generatedPrefix = "sp1_"

const (
	// secretEntropy is how many random bytes such a secret has.
	secretEntropy = 32
	// secretCheck is how many bytes of their SHA-256 stand behind them. Nobody chooses a secret with a right check by
	// accident, so that the form alone says that it can't be guessed.
	secretCheck = 4
	// secretLength is how many characters they make in base64.
	secretLength = (secretEntropy + secretCheck) / 3 * 4
)

// GenerateSecret returns a client's secret of 256 random bits: sp1_ and 48 characters, base64url, which can stand in a
// proxy URL as they are.
func GenerateSecret() secret.Text {
	b := make([]byte, secretEntropy, secretEntropy+secretCheck)
	rand.Read(b) // Never fails (crypto/rand, Go 1.24).
	return secret.NewText(generatedPrefix + encode(append(b, check(b)...)))
}

// IsGenerated reports whether s has the form of [GenerateSecret]. Secrets of versions before that form don't have it:
// they count as chosen, and stay valid.
func IsGenerated(s secret.Text) bool {
	rest, ok := strings.CutPrefix(s.Reveal(), generatedPrefix)
	if !ok || len(rest) != secretLength { // The decoder would skip line breaks.
		return false
	}
	b, err := decode(rest)
	return err == nil && len(b) == secretEntropy+secretCheck && bytes.Equal(b[secretEntropy:], check(b[:secretEntropy]))
}

func check(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:secretCheck]
}
