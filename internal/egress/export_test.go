package egress

import (
	"net"
	"net/netip"
	"time"
)

// Judge exposes the guard's decision on an address, which a test on loopback cannot see for public ones.
func Judge(allow []netip.Prefix, a netip.Addr) error { return newGuard(allow).judge("host.example", a) }

// SentAfter reports what a socket says was sent when conn took one write of application data.
func SentAfter(conn net.Conn, b []byte) bool {
	s := &socket{Conn: conn}
	s.writers.Add(1)
	s.Write(b)
	return s.sent()
}

// TCP returns the socket of c.
func (c *Conn) TCP() *net.TCPConn { return c.sock.Conn.(*net.TCPConn) }

// Age makes what is known of each source address older by d.
func (e *Egress) Age(d time.Duration) {
	for _, p := range e.attestor.now {
		a := *p.Load()
		a.At = a.At.Add(-d)
		p.Store(&a)
	}
}

// PingAfter is pingAfter.
const PingAfter = pingAfter
