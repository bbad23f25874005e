// Package proxy is the way in: it takes CONNECT from clients, ends TLS with a certificate of its own for the hosts that
// an org claims, puts the org's access token into each request, and sends it on. It doesn't know whose tokens they are:
// it asks [Tokens] for one and [Upstream] for a way out.
//
// goproxy dispatches CONNECT and refuses what isn't one. What happens inside an intercepted connection is served by one
// net/http server, so that HTTP/2, trailers, 100-continue, limits and shutting down work as they do there.
package proxy
