package proxy

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// carrier is where an API carries its session.
type carrier uint8

const (
	carrierBearer carrier = iota // Authorization: Bearer
	carrierOAuth                 // Authorization: OAuth, which a client of CometD may prefer
	carrierBulk                  // X-SFDC-Session: Bulk v1
	carrierSOAP                  // SessionHeader/sessionId in the envelope
	carrierGRPC                  // The metadata accesstoken, instanceurl and tenantid: Pub/Sub
)

// carrierOf tells the one carrier of a request.
func carrierOf(path string, grpc, oauth bool) carrier {
	switch {
	case grpc:
		return carrierGRPC
	case isSOAP(path):
		return carrierSOAP
	case strings.HasPrefix(path, "/services/async/"):
		return carrierBulk
	case oauth:
		return carrierOAuth
	}
	return carrierBearer
}

// isSOAP reports whether path, in any case, belongs to an API that carries its session in an XML body.
func isSOAP(path string) bool {
	return hasPrefixFold(path, "/services/Soap/") || hasPrefixFold(path, "/class/")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isGRPC reports whether a request is a gRPC call (gRPC over HTTP/2: Content-Type).
func isGRPC(h http.Header) bool {
	v := h["Content-Type"]
	return len(v) > 0 && hasPrefixFold(v[0], "application/grpc")
}

// carried is a token as each carrier in a header has it, made once a token. It is never changed.
type carried struct {
	token            secret.Text
	values           [carrierBulk + 1][]string
	instance, tenant []string
}

// injector makes header values of tokens. The zero injector is ready; it is safe for concurrent use.
type injector struct{ last atomic.Pointer[carried] }

// fill puts t into the one carrier c of h, which must be in the header. It doesn't allocate while the token stays the
// same.
func (i *injector) fill(h http.Header, c carrier, t tokens.Token) {
	v := i.last.Load()
	if v == nil || v.token != t.Access {
		bare := t.Access.Reveal()
		v = &carried{token: t.Access, instance: []string{t.InstanceURL}, tenant: []string{t.OrgID}}
		v.values[carrierBearer] = []string{"Bearer " + bare}
		v.values[carrierOAuth] = []string{"OAuth " + bare}
		v.values[carrierBulk] = []string{bare}
		i.last.Store(v)
	}
	switch c {
	case carrierBulk:
		h["X-Sfdc-Session"] = v.values[c]
	case carrierGRPC:
		h["Accesstoken"], h["Instanceurl"], h["Tenantid"] = v.values[carrierBulk], v.instance, v.tenant
	default:
		h["Authorization"] = v.values[c]
	}
}
