package salesforce

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// maxToken bounds a token. Salesforce's JWT access tokens have about two
// kilobytes.
const maxToken = 16 << 10

// token returns a member that can be a token: visible ASCII (RFC 6749, appendix
// A, without the space, which no token of Salesforce has).
func token(m members, name string) secret.Text {
	s := m.value(name)
	if len(s) > maxToken {
		return secret.Text{}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return secret.Text{}
		}
	}
	return secret.NewText(s)
}

// issueOf reads the members of a success (RFC 6749, section 5.1, and
// Salesforce's own). The error says what keeps it from being one, empty for
// none.
func issueOf(m members) (tokens.Issue, string) {
	i := tokens.Issue{
		Access:      token(m, "access_token"),
		Refresh:     token(m, "refresh_token"),
		InstanceURL: instanceURL(m.value("instance_url")),
	}
	if at := m.byName["issued_at"]; at.isString || m.whole { // a number that was cut is another number
		i.IssuedAt = issuedAt(at)
	}
	i.OrgID, i.UserID = identity(m.value("id"))
	i.ExpiresAt = jwtEnd(i.Access.Reveal())
	switch {
	case !i.Refresh.IsZero():
		// The only copy of a single-use token, whatever else is wrong.
		return i, ""
	case m.has("refresh_token"):
		return i, "its refresh_token can't be read"
	case !m.whole:
		// What is missing may be a refresh token, so this doesn't say that the
		// org doesn't rotate.
		return i, "it was cut short or is malformed"
	case m.has("error"):
		return i, "it holds an error"
	case i.Access.IsZero():
		return i, "it holds no access token"
	case i.InstanceURL == "":
		// Without a refresh token it has to look like Salesforce's in full to
		// prove that the one that was sent is unspent.
		return i, "its instance_url is missing or isn't https"
	}
	return i, ""
}

// instanceURL returns s as https://host[:port], or nothing where it is anything
// else.
func instanceURL(s string) string {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Scheme != "https" || u.User != nil || u.Opaque != "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Hostname() == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != "" {
		return ""
	}
	return "https://" + host
}

// identity returns the org's and the user's id from an identity URL,
// https://HOST/id/ORG/USER (Salesforce Help, "Identity URLs"), in 18
// characters.
func identity(s string) (org, user string) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return "", ""
	}
	part := strings.Split(u.Path, "/")
	if len(part) != 4 || part[0] != "" || part[1] != "id" {
		return "", ""
	}
	org, user = id18(part[2], "00D"), id18(part[3], "005")
	if org == "" || user == "" {
		return "", ""
	}
	return org, user
}

// id18 returns a record id of 15 or 18 characters in its 18: the last three say
// which of the others are capital letters, five bits each (Salesforce Help, "ID
// Field Type"). It returns nothing for what is no id with that prefix.
func id18(s, prefix string) string {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(s) != 15 && len(s) != 18 || !strings.HasPrefix(s, prefix) || strings.Trim(s, alphanumeric) != "" {
		return ""
	}
	if len(s) == 18 {
		return s
	}
	suffix := make([]byte, 3)
	for i := range suffix {
		bits := 0
		for j := range 5 {
			if c := s[5*i+j]; 'A' <= c && c <= 'Z' {
				bits |= 1 << j
			}
		}
		suffix[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
	}
	return s + string(suffix)
}

// plausible bounds the times that are believed.
func plausible(t time.Time) time.Time {
	if y := t.Year(); y < 2005 || y > 2200 {
		return time.Time{}
	}
	return t
}

// issuedAt reads milliseconds since 1970, which Salesforce sends as a string
// (its documentation says seconds).
func issuedAt(m member) time.Time {
	ms, err := strconv.ParseInt(strings.TrimSpace(m.text), 10, 64)
	if err != nil || m.unclear {
		return time.Time{}
	}
	return plausible(time.UnixMilli(ms))
}

// numericDate reads seconds since 1970, perhaps with a fraction (RFC 7519,
// section 2).
func numericDate(n json.Number) time.Time {
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1e11 {
		return time.Time{}
	}
	return plausible(time.Unix(int64(f), 0))
}

// jwtEnd returns the exp of an access token that is a JWT (RFC 7519), zero for
// an opaque one. The signature is Salesforce's business.
func jwtEnd(access string) time.Time {
	part := strings.Split(access, ".")
	if len(part) != 3 || part[2] == "" {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp json.Number `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	return numericDate(claims.Exp)
}
