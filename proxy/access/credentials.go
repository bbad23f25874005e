package access

import (
	"encoding/base64"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
)

// Credentials are what a caller showed. The zero Credentials are none.
type Credentials struct {
	// Name is the client's name.
	Name string
	// Org is what stands behind a + in the proxy user, the org that the client chooses; empty if it chooses none.
	Org    string
	Secret secret.Text
}

// Given reports whether the caller showed any credentials.
func (c Credentials) Given() bool { return c.Name != "" || !c.Secret.IsZero() }

// ParseBasic reads the value of a Proxy-Authorization or Authorization header (RFC 7617). It returns false for an
// empty value, another scheme and what can't be read.
func ParseBasic(value string) (Credentials, bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return Credentials{}, false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return Credentials{}, false
	}
	user, pass, ok := strings.Cut(string(b), ":")
	if !ok {
		return Credentials{}, false
	}
	name, org, _ := strings.Cut(user, "+")
	return Credentials{Name: name, Org: org, Secret: secret.NewText(pass)}, true
}
