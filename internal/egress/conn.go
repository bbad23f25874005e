package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// userTimeout is how long a kernel tries to deliver what was written before it gives the connection up.
const userTimeout = 10 * time.Second

// Conn is a fresh TLS connection for one token request. It knows whether any application data was written to its
// socket. Its methods are those of net.Conn, but for Close.
type Conn struct {
	tls  *tls.Conn
	sock *socket
}

var _ net.Conn = (*Conn)(nil)

// DialTLS connects to host and port from source (as [Egress.Source] gave it), by way of the upstream proxy if there is
// one, and completes TLS with ALPN http/1.1. Nothing but that is sent, and nothing is ever sent by itself: no redial,
// no reuse. The socket drops what it hasn't delivered when it is closed, by the process's end too (SO_LINGER 0), and
// gives up after 10 s without an acknowledgement (TCP_USER_TIMEOUT, Linux): a kernel must not deliver a token request
// after its sender is gone.
//
// It fails with an [AddressNotAllowedError], a [SourceError], an [UnverifiedError], an [UnreachableError] or a
// [TLSError]; for all of them [NotSent] holds, and trying again is safe.
func (e *Egress) DialTLS(ctx context.Context, source netip.Addr, host string, port uint16) (*Conn, error) {
	if err := checkSource(e.sources, source); err != nil {
		return nil, err
	}
	if err := e.Registered(source); err != nil {
		return nil, err
	}
	host, err := canonicalHost(host)
	if err != nil {
		return nil, err
	}
	var sock *socket
	conn, err := e.connect(ctx, source, host, port, func(c *net.TCPConn) (net.Conn, error) {
		sock = &socket{Conn: c}
		return sock, dropOnClose(c)
	})
	if err != nil {
		e.Reattest()
		return nil, err
	}
	tc, err := handshake(ctx, conn, e.tls[source], host, joinHostPort(host, port), e.opts.HandshakeTimeout)
	if err != nil {
		return nil, err
	}
	return &Conn{tls: tc, sock: sock}, nil
}

// Wrote reports whether a byte of application data may have been given to the kernel. False is certain: nothing can
// have reached the server. While a Write is blocked it is true; after it, it is what that Write really did. It may be
// called at any time.
func (c *Conn) Wrote() bool { return c.sock.sent() }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) { return c.tls.Read(b) }

// Write implements net.Conn. When it fails, [Conn.Wrote] says whether anything may have left.
func (c *Conn) Write(b []byte) (int, error) {
	// What TLS writes outside of Write (the answer to a key update) is not application data. Inside it anything counts.
	c.sock.writers.Add(1)
	defer c.sock.writers.Add(-1)
	return c.tls.Write(b)
}

// Close resets the connection: it sends no close_notify, waits for nothing and drops what was not delivered.
func (c *Conn) Close() error { return c.sock.Close() }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.tls.LocalAddr() }

// RemoteAddr implements net.Conn; through an upstream proxy it is the proxy's address.
func (c *Conn) RemoteAddr() net.Addr { return c.tls.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.tls.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// ConnectionState describes the TLS connection.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// socket sits below TLS, the upstream proxy's too, and sees what is really given to the kernel.
type socket struct {
	net.Conn
	writers atomic.Int32 // Calls of Conn.Write under way.
	pending atomic.Int32 // Writes to the kernel under way that count.
	wrote   atomic.Bool
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	if s.writers.Load() == 0 {
		return s.Conn.Write(b)
	}
	s.pending.Add(1)
	n, err := s.Conn.Write(b)
	if n > 0 || err != nil && !nothingSent(err) {
		s.wrote.Store(true)
	}
	s.pending.Add(-1)
	return n, err
}

// sent reads pending first: a write that ends in between has set wrote by then.
func (s *socket) sent() bool { return s.pending.Load() > 0 || s.wrote.Load() }

// dropOnClose makes the kernel drop what it hasn't delivered when c is closed.
func dropOnClose(c *net.TCPConn) error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return setUserTimeout(c, userTimeout)
}
