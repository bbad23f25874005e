package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// recordSize is the most that TLS puts into one record (RFC 8446, section 5.1): a larger buffer would save no
	// system call.
	recordSize        = 16 << 10
	maxResponseHeader = 1 << 20
)

// errPlain refuses http URLs: a token must not cross the network in clear.
var errPlain = errors.New("egress speaks TLS only: use an https URL")

// Transport returns the pooled HTTP/1.1 transport of one source address, which must be one that [Egress.Source] gave:
// every request by another fails with a [SourceError]. It follows no redirect, decompresses nothing, adds no
// Accept-Encoding and uses no proxy of the environment. A request without a User-Agent header gets Go's; set the
// header to nil against that.
//
// Its errors are for [Classify]; [NotSent] tells those that are safe to try again. By itself it repeats an idempotent
// request (GET and the like, no body or one that GetBody gives again) when a kept-alive connection turns out to be
// closed. A token request must not go through it: see [Egress.DialTLS].
func (e *Egress) Transport(source netip.Addr) http.RoundTripper {
	if t, ok := e.transports[source]; ok {
		return t
	}
	return refusing{&SourceError{Addr: source, Reason: "it is not a configured source address"}}
}

type refusing struct{ err error }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, r.err
}

func (e *Egress) newTransport(source netip.Addr) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:             nil,
		Protocols:         &protocols,
		ForceAttemptHTTP2: false,
		TLSNextProto:      map[string]func(string, *tls.Conn) http.RoundTripper{},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errPlain
		},
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, port, err := splitHostPort(addr)
			if err != nil {
				return nil, err
			}
			conn, err := e.connect(ctx, source, host, port, plainSocket)
			if err != nil {
				return nil, err
			}
			return handshake(ctx, conn, e.tls[source], host, joinHostPort(host, port), e.opts.HandshakeTimeout)
		},
		DisableCompression:     true,
		ResponseHeaderTimeout:  e.opts.UpstreamTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        e.opts.IdleTimeout,
		MaxIdleConns:           e.opts.MaxIdle,
		MaxIdleConnsPerHost:    e.opts.MaxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		ReadBufferSize:         recordSize,
		WriteBufferSize:        recordSize,
	}
}
