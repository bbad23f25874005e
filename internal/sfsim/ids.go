package sfsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// mint makes ids and tokens from a seed.
type mint struct {
	mu  sync.Mutex // guards rng and seq
	rng *rand.Rand
	seq uint64
	key []byte // signs JWT access tokens
}

func newMint(seed uint64) *mint {
	m := &mint{rng: rand.New(rand.NewPCG(seed, 0x5f0a11))}
	m.key = []byte(m.random(32))
	return m
}

func (m *mint) random(n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := make([]byte, n)
	for i := range b {
		b[i] = base62[m.rng.IntN(len(base62))]
	}
	return string(b)
}

// id returns an 18-character record id with the given three-letter prefix.
func (m *mint) id(prefix string) string {
	m.mu.Lock()
	m.seq++
	n := m.seq
	m.mu.Unlock()
	return to18(fmt.Sprintf("%sWt%010d", prefix, n))
}

// opaque returns an access token in Salesforce's shape, 00D<12>!<random>.
func (m *mint) opaque(orgID string) string { return orgID[:15] + "!AQ" + m.random(94) }

// refresh returns a refresh token in Salesforce's shape.
func (m *mint) refresh() string { return "5Aep861" + m.random(80) }

// code returns an authorization code in Salesforce's shape.
func (m *mint) code() string { return "aPrx" + m.random(60) }

// jwt returns a three-part access token with the given absolute end.
func (m *mint) jwt(clientID, subject, instance, scope string, iat, exp time.Time) string {
	return m.compact(map[string]any{
		"scp": scope, "sub": subject, "iss": instance, "aud": []string{instance}, "client_id": clientID,
		"iat": iat.Unix(), "nbf": iat.Unix(), "exp": exp.Unix(), "jti": m.random(16),
	})
}

// idToken returns an OpenID Connect ID token of two minutes.
func (m *mint) idToken(clientID, subject, instance string, iat time.Time) string {
	return m.compact(map[string]any{
		"iss": instance, "sub": subject, "aud": clientID, "iat": iat.Unix(), "exp": iat.Add(2 * time.Minute).Unix(), "jti": m.random(16),
	})
}

// compact signs claims with the simulator's own key.
func (m *mint) compact(v map[string]any) string {
	claims, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	enc := base64.RawURLEncoding
	head := enc.EncodeToString([]byte(`{"tnk":"core/sim","ver":"1.0","typ":"JWT","alg":"HS256"}`)) + "." + enc.EncodeToString(claims)
	return head + "." + enc.EncodeToString(sign(m.key, head))
}

// uuid returns a random UUID.
func (m *mint) uuid() string {
	h := hex.EncodeToString([]byte(m.random(16)))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// to18 appends Salesforce's three check characters to a 15-character id.
func to18(id string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var b strings.Builder
	b.WriteString(id)
	for part := 0; part < 15; part += 5 {
		bits := 0
		for i := range 5 {
			if c := id[part+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		b.WriteByte(alphabet[bits])
	}
	return b.String()
}

// fullID checks a 15- or 18-character id and returns its 18 characters.
func fullID(id, prefix string) (string, error) {
	if (len(id) != 15 && len(id) != 18) || !strings.HasPrefix(id, prefix) || strings.Trim(id, base62) != "" {
		return "", fmt.Errorf("sfsim: %q is not a 15- or 18-character id that begins with %s", id, prefix)
	}
	full := to18(id[:15])
	if len(id) == 18 && id != full {
		return "", fmt.Errorf("sfsim: the check characters of %q are wrong, they should read %s", id, full)
	}
	return full, nil
}

// Fingerprint names a token without telling it: 16 hexadecimal digits of its
// SHA-256. It is empty for an empty token.
func Fingerprint(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}
