package virtual

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Answer is the token endpoint's to a request that [ParseToken] took.
type Answer struct {
	// Grant is the request's. It decides whether there is a refresh token, always [PlaceholderRefreshToken].
	Grant Grant
	// AccessToken is a placeholder of [Placeholders.Make]. What isn't one is not rendered.
	AccessToken secret.Text
	// InstanceURL is where the client sends its calls: the org's My Domain, or sallyport's base URL.
	InstanceURL string
	// IdentityURL is https://HOST/id/ORG/USER. jsforce, sfdx-core and the Mobile SDK fail without it.
	IdentityURL string
	// IssuedAt is the claim's time of issue.
	IssuedAt time.Time
	// Scope is space-separated. It is left out when empty.
	Scope string
	// Signature is made by [Placeholders.Sign].
	Signature string
}

// Render returns the answer for status 200 in Salesforce's shape: issued_at a string of milliseconds, no expires_in. The
// caller adds Cache-Control: no-store (RFC 6749, section 5.1).
func (a Answer) Render(format Format) (contentType string, body []byte) {
	var f fields
	f.add("access_token", only(a.AccessToken))
	if a.Grant.refreshes() {
		f.add("refresh_token", PlaceholderRefreshToken)
	}
	f.add("signature", a.Signature)
	f.add("scope", a.Scope)
	f.add("instance_url", a.InstanceURL)
	f.add("id", a.IdentityURL)
	f.add("token_type", "Bearer")
	f.add("issued_at", milliseconds(a.IssuedAt))
	return f.render(format)
}

// only returns token if it is a placeholder, so that a real one can't leave here by any mistake elsewhere.
func only(token secret.Text) string {
	if s := token.Reveal(); IsPlaceholder(s) {
		return s
	}
	return ""
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
