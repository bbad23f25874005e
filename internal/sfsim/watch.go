package sfsim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ViolationKind names something that must never reach Salesforce.
type ViolationKind string

// The violations.
const (
	Replay              ViolationKind = "replay"                // a rotated-out refresh token was presented
	ConcurrentExchange  ViolationKind = "concurrent exchange"   // two exchanges of one token overlapped
	IntrospectedRotated ViolationKind = "introspected rotated"  // counted as reuse
	ForwardedHeader     ViolationKind = "forwarded header"      // X-Forwarded-For, Via, traceparent, Sallyport-…
	TokenInURL          ViolationKind = "token in URL"          // accepted, yet it ends in logs
	UnknownCredential   ViolationKind = "unknown credential"    // an API got a credential that Salesforce never issued
	UnknownRefreshToken ViolationKind = "unknown refresh token" // the token endpoint did
	ForeignToken        ViolationKind = "foreign token"         // a token of one org at another's host
	SNIMismatch         ViolationKind = "SNI mismatch"          // the Host header is not the name of the handshake
	UnknownHost         ViolationKind = "unknown host"
	SOAPLogin           ViolationKind = "SOAP login"     // a client's own username and password
	PasswordGrant       ViolationKind = "password grant" // the same at the token endpoint
	Canary              ViolationKind = "canary"         // a text that only clients know, see Options.Canaries
)

// Violation is one of them. Detail never holds a secret.
type Violation struct {
	Time   time.Time
	Kind   ViolationKind
	Host   string
	Path   string
	Detail string
}

// watch records what is wrong with a request whatever its path.
func (s *Sim) watch(r *http.Request, host, path string) {
	for name := range r.Header {
		if leaks(name) {
			s.ledger.violate(s.now(), ForwardedHeader, host, path, name)
		}
	}
	if r.TLS != nil && r.TLS.ServerName != host {
		s.ledger.violate(s.now(), SNIMismatch, host, path, r.TLS.ServerName)
	}
	s.watchCanaries(r, host, path)
	if r.URL.RawQuery == "" {
		return
	}
	for name := range r.URL.Query() {
		if secretParam(name) {
			s.ledger.violate(s.now(), TokenInURL, host, path, name)
		}
	}
}

// leaks reports whether a header tells Salesforce of the proxy or its clients.
// Names are in canonical form.
func leaks(name string) bool {
	switch name {
	case "Via", "Forwarded", "Traceparent", "Tracestate", "Baggage", "X-Real-Ip":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "Sallyport-")
}

func secretParam(name string) bool {
	switch strings.ToLower(name) {
	case "access_token", "oauth_token", "refresh_token", "client_secret", "assertion", "token", "sid", "sessionid", "code_verifier":
		return true
	}
	return false
}

// redact replaces secrets of a query by their fingerprints.
func redact(q url.Values) url.Values {
	for name, values := range q {
		if secretParam(name) {
			for i, v := range values {
				values[i] = "fingerprint:" + Fingerprint(v)
			}
		}
	}
	return q
}
