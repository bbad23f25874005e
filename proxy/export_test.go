package proxy

import (
	"context"
	"crypto/tls"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
	"net"
	"net/http"
	"time"
)

// Leaves opens leaf.go to tests.
type Leaves struct{ *leaves }

// NewLeaves is newLeaves.
func NewLeaves(a *Authority) (Leaves, error) {
	l, err := newLeaves(a)
	return Leaves{l}, err
}

// Mint signs a leaf for host, cached or not.
func (l Leaves) Mint(host string) (*tls.Certificate, error) {
	return l.active.Load().leaf(host, l.key, time.Now())
}

// Get is leaves.get.
func (l Leaves) Get(host string) (*tls.Certificate, error) { return l.get(context.Background(), host) }

// Activate is leaves.activate.
func (l Leaves) Activate(a *Authority) { l.activate(a) }

type namedConn struct {
	net.Conn
	host string
}

func (c namedConn) connectHost() string { return c.host }

// Server is TLS on a connection whose CONNECT named host.
func (l Leaves) Server(c net.Conn, host string) *tls.Conn {
	return tls.Server(namedConn{c, host}, l.config)
}

// HotPath does what a request with a live token needs of registry, policy and token, and returns the header's value.
func (s *Server) HotPath(host, user string, h map[string][]string, path, query string) func() string {
	target, _ := access.ParseTarget(host)
	creds := access.Credentials{Name: user, Secret: secret.NewText("pass")}
	id, err := s.identify.Identify(context.Background(), s.opts.Registry.Snapshot(), creds, access.Caller{})
	if err != nil {
		panic(err)
	}
	t := &tunnel{server: s, target: target, id: id}
	return func() string {
		b := s.bind(t)
		canonical, _, _ := access.Canonical(path)
		if b.refusal != nil || b.policy.Check(access.Request{Method: "GET", Path: canonical, RawQuery: query}) != nil || b.limit.begin() != nil {
			return ""
		}
		defer b.limit.end()
		token, _ := s.opts.Tokens.Token(context.Background(), b.to.state.id)
		b.to.state.injector.fill(h, carrierOf(canonical, false, false), token)
		return h["Authorization"][0]
	}
}

// ReadPlain is what a lane reads of b, and how many bytes that is; nil when it doesn't take it.
func ReadPlain(b []byte) (*http.Request, int) {
	n, whole := headEnd(b)
	if !whole || n == 0 {
		return nil, 0
	}
	p, plain := parsePlain(string(b[:n]))
	if !plain {
		return nil, 0
	}
	return p.request(&http.Request{}), n
}
