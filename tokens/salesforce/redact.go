package salesforce

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/secret"
)

// tokenLike matches what could be a credential: Salesforce's opaque access
// tokens, refresh tokens and codes by their beginnings, and any long word of
// the alphabets that tokens are written in.
var tokenLike = regexp.MustCompile(`00D[A-Za-z0-9]{12,15}!\S*|5Aep\S*|aPrx\S*|[A-Za-z0-9+/=_.!~%-]{20,}`)

// maxDescription bounds a description, in characters.
const maxDescription = 200

// printable returns s fit for logs, errors and terminals: bounded, without
// control characters, and without anything that looks like a token.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	// Before it is cut: half a token is still a secret.
	s = strings.Join(strings.Fields(tokenLike.ReplaceAllString(s, secret.Redacted)), " ")
	n := 0
	for i := range s {
		if n++; n > maxDescription {
			return s[:i] + "…"
		}
	}
	return s
}

// printableCode returns an OAuth error code, which is letters and underscores
// in every one known.
func printableCode(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "unrecognized"
	}
	return s
}
