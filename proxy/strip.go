package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// strip takes out of a request's header what isn't forwarded: what belongs to this hop (RFC 9110, section 7.6.1), every
// carrier of a client's credential, our own headers, and what would show that there is a proxy. It returns whether the
// client's Authorization had the scheme OAuth.
func strip(h http.Header) (oauth bool) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	if v := h["Authorization"]; len(v) > 0 {
		oauth = len(v[0]) > 6 && strings.EqualFold(v[0][:6], "OAuth ")
	}
	for name := range h {
		if dropped(name) {
			delete(h, name)
		}
	}
	if v, ok := h["Cookie"]; ok {
		stripCookies(h, v)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // Keeps net/http from adding its own.
	}
	return oauth
}

// connectionNames reports whether the Connection header names name, which it takes out thereby.
func connectionNames(h http.Header, name string) bool {
	for _, v := range h["Connection"] {
		for n := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(n), name) {
				return true
			}
		}
	}
	return false
}

// passTrailers gives out a trailer of its own, with what the client declared and may send, and returns src so that its
// values are there when it ends, which is when net/http has them and the transport wants them.
func passTrailers(out *http.Request, src io.ReadCloser) io.ReadCloser {
	from, to := out.Trailer, make(http.Header, len(out.Trailer))
	for name := range from {
		if !dropped(name) && name != "Cookie" {
			to[name] = nil
		}
	}
	out.Trailer = to
	return &endingBody{src, func() {
		for name := range to {
			to[name] = from[name]
		}
	}}
}

// endingBody calls ended when it was read to its end.
type endingBody struct {
	io.ReadCloser
	ended func()
}

// Read implements io.Reader.
func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended()
	}
	return n, err
}

func dropped(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
		"Authorization", "X-Sfdc-Session", "Accesstoken",
		"Via", "Forwarded", "Traceparent", "Tracestate", "Baggage":
		return true
	}
	return strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sallyport-")
}

// isSessionCookie reports whether a cookie of that name holds a Salesforce session.
func isSessionCookie(name string) bool {
	return strings.EqualFold(name, "sid") || len(name) > 4 && strings.EqualFold(name[:4], "sid_")
}

func stripCookies(h http.Header, lines []string) {
	var kept []string
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && !isSessionCookie(strings.TrimSpace(name)) {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// stripQuery takes parameters that carry a session out of a query and leaves the rest as it is, byte for byte. It
// doesn't allocate when there are none.
func stripQuery(query string) string {
	found := false
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if isSessionParameter(pair) {
			found = true
			break
		}
	}
	if !found {
		return query
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if !isSessionParameter(pair) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func isSessionParameter(pair string) bool {
	key, _, _ := strings.Cut(pair, "=")
	if strings.ContainsAny(key, "%+") {
		if k, err := url.QueryUnescape(key); err == nil {
			key = k
		}
	}
	return strings.EqualFold(key, "sid") || strings.EqualFold(key, "oauth_token") || strings.EqualFold(key, "access_token")
}

// stripResponse takes a session out of the header of an answer, and what belongs to the other hop.
func stripResponse(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Sallyport-Error"} {
		delete(h, name)
	}
	if cookies, ok := h["Set-Cookie"]; ok {
		var kept []string
		for _, c := range cookies {
			name, _, _ := strings.Cut(c, "=")
			if !isSessionCookie(strings.TrimSpace(name)) {
				kept = append(kept, c)
			}
		}
		if h["Set-Cookie"] = kept; len(kept) == 0 {
			delete(h, "Set-Cookie")
		}
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		if v := h[name]; len(v) == 1 {
			stripLocation(h, name, v[0])
		} else if len(v) > 1 {
			delete(h, name) // which one counts differs from client to client
		}
	}
}

// stripLocation takes a session out of a URL. A URL that still seems to have one, or can't be read, goes whole.
func stripLocation(h http.Header, name, value string) {
	if !strings.Contains(value, "=") && !strings.Contains(value, "%") {
		return
	}
	u, err := url.Parse(value)
	if err != nil {
		delete(h, name)
		return
	}
	u.RawQuery = stripQuery(u.RawQuery)
	clean := u.String()
	if hasSession(clean) {
		delete(h, name)
		return
	}
	if u.RawQuery != "" || clean != value {
		h[name] = []string{clean}
	}
}

// sessionParameter is a session as a parameter of a URL, or of one within its query or fragment.
var sessionParameter = regexp.MustCompile(`(?i)(^|[^a-z0-9_])(sid|oauth_token|access_token)=`)

// hasSession reports whether a URL carries a session, however often it is escaped.
func hasSession(s string) bool {
	for range 4 {
		if sessionParameter.MatchString(s) {
			return true
		}
		decoded, err := url.QueryUnescape(s)
		if err != nil || decoded == s {
			return err != nil
		}
		s = decoded
	}
	return true // nobody escapes a URL that often without a reason
}
