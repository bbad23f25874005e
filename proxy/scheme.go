package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
)

// keepScheme has server, which is set up for HTTP/2 and serves nobody yet, keep the :scheme of a request that says http:
// net/http forgets it, and a request that isn't for the tunnel's own scheme is misdirected (RFC 9113, section 8.3.1).
func keepScheme(server *http.Server) {
	serve := server.TLSNextProto["h2"]
	if serve == nil {
		return
	}
	server.TLSNextProto["h2"] = func(s *http.Server, c *tls.Conn, h http.Handler) { serve(s, c, schemeKeeper{h}) }
}

// schemeKeeper sees requests before net/http gives those without TLS, which are the ones that say http, that of their
// connection.
type schemeKeeper struct{ http.Handler }

// ServeHTTP implements http.Handler.
func (k schemeKeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		r.URL.Scheme = "http"
	}
	k.Handler.ServeHTTP(w, r)
}

// BaseContext returns the connection's context, for which net/http asks the handler.
func (k schemeKeeper) BaseContext() context.Context {
	if h, ok := k.Handler.(interface{ BaseContext() context.Context }); ok {
		return h.BaseContext()
	}
	return context.Background()
}
