package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/proxy/access"
)

const (
	established   = "HTTP/1.1 200 Connection established\r\n\r\n"
	recordContent = 0x16 // The first byte of a TLS handshake (RFC 8446, section 5.1).
)

// alertUnexpected is a fatal unexpected_message alert in TLS 1.2's record form, which every version reads.
var alertUnexpected = []byte{0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a}

type tunnelKey struct{}

// tunnel is the connection of a CONNECT that was let in, and what was decided about it.
type tunnel struct {
	net.Conn
	server      *Server
	target      access.Target
	id          access.Identity
	userOrg     string // The org in the proxy user.
	connectOrg  string // Sallyport-Org of the CONNECT.
	parent      trace.SpanContext
	peer        string
	local       bool
	passthrough bool
	base        string               // The base URL of a direct request, without a slash at its end; empty for one in absolute form.
	upstream    net.Conn             // Of a passthrough tunnel; nil to intercept.
	refusal     *access.RefusalError // Why every request inside is refused; nil usually.
	ahead       []byte               // Read before TLS; used by the handshake's first Read only.
	binding     atomic.Pointer[binding]
	lane        atomic.Pointer[lane] // Nil when net/http serves it.
}

// connectHost is the name that the CONNECT named, for leaf.go.
func (t *tunnel) connectHost() string { return t.target.Host }

// Read implements net.Conn.
func (t *tunnel) Read(b []byte) (int, error) {
	if t.ahead == nil {
		return t.Conn.Read(b)
	}
	n := copy(b, t.ahead)
	if t.ahead = t.ahead[n:]; len(t.ahead) == 0 {
		t.ahead = nil
	}
	return n, nil
}

// Close implements net.Conn.
func (t *tunnel) Close() error {
	t.server.tunnels.remove(t)
	return t.Conn.Close()
}

// tunnelOf finds the tunnel of a connection of the inner server.
func tunnelOf(c net.Conn) *tunnel {
	switch c := c.(type) {
	case *innerConn:
		return c.tunnel
	case *tls.Conn:
		t, _ := c.NetConn().(*tunnel)
		return t
	}
	return nil
}

// intercept ends TLS on t and hands it to the inner server. It returns when that is done; the caller's goroutine and
// the stack that the handshake grew end with it.
func (s *Server) intercept(t *tunnel) {
	if !s.tunnels.add(t) {
		t.Conn.Close()
		return
	}
	handed := false
	defer func() {
		if !handed {
			_ = t.Close()
		}
	}()
	if t.SetDeadline(time.Now().Add(handshakeTimeout)) != nil {
		return
	}
	if _, err := io.WriteString(t.Conn, established); err != nil {
		return
	}
	first := make([]byte, 2048)
	n, err := t.Conn.Read(first)
	if err != nil || n == 0 {
		return
	}
	t.ahead = first[:n]
	if first[0] != recordContent {
		refusePlain(t, first[0])
		return
	}
	conn := tls.Server(t, s.leaves.config)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		s.opts.Log.Debug("a client's TLS handshake failed: does it trust the CA? `sallyport ca export` prints it",
			slog.String("host", t.target.Host), slog.String("client", t.id.Label()), slog.Any("error", err))
		return
	}
	if t.SetDeadline(time.Time{}) != nil {
		return
	}
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		handed = s.handOver.give(conn)
		return
	}
	handed = s.tunnels.spawn(func() { // Ends with the connection, which Drain closes, or when net/http takes it.
		s.serveLane(&innerConn{Conn: conn, tunnel: t})
	})
}

// refusePlain answers a tunnel that doesn't begin with TLS: plain HTTP gets a 400, anything else an alert.
func refusePlain(t *tunnel, first byte) {
	if first < 'A' || first > 'Z' {
		_, _ = t.Conn.Write(alertUnexpected)
		linger(t.Conn)
		return
	}
	_, _ = t.Conn.Write(wire(explain(&access.RefusalError{Code: access.BadRequest, Message: "this is plain HTTP inside a tunnel to " +
		t.target.String() + ": speak TLS in it"})))
	linger(t.Conn)
}

// splice copies both ways between t and upstream until both have ended, nothing happens for the idle timeout, or one
// fails.
func (s *Server) splice(t *tunnel, upstream net.Conn) {
	if !s.tunnels.add(t) {
		t.Conn.Close()
		upstream.Close()
		return
	}
	if _, err := io.WriteString(t.Conn, established); err != nil {
		_ = t.Close()
		upstream.Close()
		return
	}
	start := time.Now()
	s.tunnels.spawn(func() { // Ends with the tunnel, which Drain closes.
		var sent, received int64
		var both sync.WaitGroup
		both.Go(func() { sent = s.pump(upstream, t.Conn, upstream, t.Conn) })
		received = s.pump(t.Conn, upstream, upstream, t.Conn)
		both.Wait()
		_ = t.Close()
		upstream.Close()
		s.logTunnel(context.Background(), t, sent, received, time.Since(start))
	})
}

// pump copies from src to dst and ends dst's direction; when that or the copying fails it ends both connections.
func (s *Server) pump(dst, src, a, b net.Conn) (n int64) {
	buf := getBuffer()
	defer buffers.Put(buf)
	for {
		deadline := time.Now().Add(s.opts.IdleTimeout)
		_ = errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)) // Of a closed one Read or Write tells.
		m, err := src.Read(*buf)
		if m > 0 {
			w, werr := dst.Write((*buf)[:m])
			n += int64(w)
			if werr != nil {
				err = werr
			}
		}
		if errors.Is(err, io.EOF) && closeWrite(dst) == nil {
			return n
		}
		if err != nil {
			a.Close()
			b.Close()
			return n
		}
	}
}

// buffers hold what is copied; larger than a TLS record, so that full records pass whole.
var buffers sync.Pool

func getBuffer() *[]byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 32<<10)
	return &b
}
