package access

import (
	"net/url"
	"strings"
)

// Why the paths that mint, reveal or destroy credentials are refused (salesforce.md, section 6.2).
const (
	whyOAuth = "this OAuth endpoint mints, reveals or ends credentials: sallyport holds the org's grant and lets no " +
		"client reach it; userinfo is allowed"
	whySession = "this path turns a token into a user's session: sallyport lets no client reach it"
	whyApps    = "this path reveals or changes an app's credentials: sallyport lets no client reach it"
)

// credentialPath says why no client may reach path, or nothing. Salesforce doesn't tell upper and lower case apart
// everywhere, so neither does it.
func credentialPath(path string) string {
	switch {
	case foldUnder(path, "/services/oauth2"):
		if path == "/services/oauth2/userinfo" {
			return ""
		}
		return whyOAuth
	case foldUnder(path, "/secur"), foldUnder(path, "/setup"):
		return whySession
	case foldUnder(path, "/services/a360"):
		return whyOAuth
	case foldUnder(path, "/services/data") && isAppsOAuth(path):
		return whyApps
	}
	return ""
}

// isAppsOAuth reports whether path, under /services/data, has the segments apps and oauth one after the other.
func isAppsOAuth(path string) bool {
	last := ""
	for rest := path[1:]; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		segment = bare(segment)
		if strings.EqualFold(last, "apps") && strings.EqualFold(segment, "oauth") {
			return true
		}
		last = segment
	}
	return false
}

// foldUnder reports whether path is prefix or lies below it, in any case.
func foldUnder(path, prefix string) bool {
	n := len(prefix)
	return len(path) >= n && strings.EqualFold(path[:n], prefix) && (len(path) == n || path[n] == '/')
}

// unescape decodes a part of a query; what can't be decoded stays as it is.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}
