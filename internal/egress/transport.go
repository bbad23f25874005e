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
	// laneBuffer is for a head and a small body.
	laneBuffer = 4 << 10
	// maxInformational is how many 1xx answers may come before the real one.
	maxInformational = 5
)

// errPlain refuses http URLs: a token must not cross the network in clear.
var errPlain = errors.New("egress speaks TLS only: use an https URL")

// Transport returns the pooled transport of one source address, HTTP/2 for gRPC and HTTP/1.1 for all else. The address
// must be one that [Egress.Source] gave: every request by another fails with a [SourceError]. It follows no redirect, decompresses nothing, adds no
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
	t := &http.Transport{
		Proxy:             nil,
		Protocols:         &protocols,
		ForceAttemptHTTP2: false,
		TLSNextProto:      map[string]func(string, *tls.Conn) http.RoundTripper{},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errPlain
		},
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return e.dialHTTP(ctx, source, addr, e.tls[source], func(c *net.TCPConn, leave func()) (net.Conn, error) {
				return &countedSocket{c, leave}, nil
			})
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
	// Whatever the lane doesn't take, the transport does itself.
	t.RegisterProtocol("https", registered{&lane{egress: e, source: source, idle: make(map[string][]*laneConn)}})
	return t
}

// registered has the one field in which [http.Transport] looks for whose CloseIdleConnections its own has to call.
type registered struct{ Lane *lane }

// RoundTrip implements http.RoundTripper.
func (r registered) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.Lane.RoundTrip(req)
}

// dialHTTP returns a TLS connection to addr, "host:port", by secure. wrap makes its socket, whose Close must call
// leave. It fails with a [BusyError] when there are as many connections to addr as may be, none of which idles.
func (e *Egress) dialHTTP(ctx context.Context, source netip.Addr, addr string, secure *tls.Config, wrap func(c *net.TCPConn, leave func()) (net.Conn, error)) (*tls.Conn, error) {
	host, port, err := splitHostPort(addr)
	if err != nil {
		return nil, err
	}
	to := target{source, joinHostPort(host, port)}
	leave, ok := e.open.enter(to)
	if !ok {
		e.transports[source].CloseIdleConnections() // The lane's too.
		if leave, ok = e.open.enter(to); !ok {
			return nil, &BusyError{Host: to.addr, Open: e.open.limit}
		}
	}
	conn, err := e.connect(ctx, source, host, port, func(c *net.TCPConn) (net.Conn, error) { return wrap(c, leave) })
	if err != nil {
		leave()
		return nil, err
	}
	secured, err := handshake(ctx, conn, secure, host, to.addr, e.opts.HandshakeTimeout)
	if err != nil {
		leave()
	}
	return secured, err
}
