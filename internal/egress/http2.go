package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
	// pingAfter is how long an HTTP/2 connection may be silent before it is asked whether it lives, and pingFor how long
	// it has to answer. The Pub/Sub API itself breaks the silence of a stream within 270 s, and gRPC servers end the
	// connection of a client that asks more often than every 5 minutes (gRPC, keepalive.md: ENHANCE_YOUR_CALM).
	pingAfter = 5*time.Minute + 10*time.Second
	pingFor   = 15 * time.Second
)

var errNoHTTP2 = errors.New("the server doesn't offer HTTP/2, which gRPC needs")

// ways are the transports of one source address.
type ways struct{ http1, http2 *http.Transport }

// RoundTrip implements http.RoundTripper. gRPC goes by HTTP/2 (PROTOCOL-HTTP2.md of gRPC), all else by HTTP/1.1.
func (w *ways) RoundTrip(r *http.Request) (*http.Response, error) {
	if v := r.Header["Content-Type"]; len(v) == 1 && len(v[0]) >= 16 && strings.EqualFold(v[0][:16], "application/grpc") {
		return w.http2.RoundTrip(r)
	}
	return w.http1.RoundTrip(r)
}

// CloseIdleConnections closes those that are in no use.
func (w *ways) CloseIdleConnections() {
	w.http1.CloseIdleConnections()
	w.http2.CloseIdleConnections()
}

func (e *Egress) newHTTP2(source netip.Addr) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	secure := e.tls[source].Clone()
	secure.NextProtos = []string{protoHTTP2, protoHTTP1} // So that a server without HTTP/2 answers what it has, and not with an alert.
	secure.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	return &http.Transport{
		Proxy:     nil,
		Protocols: &protocols,
		HTTP2:     &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingFor},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errPlain
		},
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			c, err := e.dialHTTP(ctx, source, addr, secure, func(c *net.TCPConn, leave func()) (net.Conn, error) {
				return &countedSocket{c, leave}, nil
			})
			if err != nil {
				return nil, err
			}
			if c.ConnectionState().NegotiatedProtocol != protoHTTP2 {
				c.Close()
				return nil, &TLSError{Host: addr, Err: errNoHTTP2}
			}
			return c, nil
		},
		DisableCompression:     true,
		ResponseHeaderTimeout:  e.opts.UpstreamTimeout,
		IdleConnTimeout:        e.opts.IdleTimeout,
		MaxIdleConns:           e.opts.MaxIdle,
		MaxIdleConnsPerHost:    e.opts.MaxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}
