// Package proxy is the way in: it takes CONNECT from clients, ends TLS with a certificate of its own for the hosts that
// an org claims, puts the org's access token into each request where its API carries a session, and sends it on. Requests
// in absolute form and by base URL are served as if each had come through a tunnel of its own. It doesn't know whose
// tokens they are: it asks [Tokens] for one and [Upstream] for a way out. What would mint, show or end a session it
// answers itself, by placeholders (package virtual).
//
// goproxy dispatches CONNECT. What happens inside an intercepted connection is served by one
// net/http server, so that HTTP/2, trailers, 100-continue, limits and shutting down work as they do there.
package proxy
