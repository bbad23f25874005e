package egress

import (
	"net"
	"net/netip"
	"sync"
)

// connections counts the pooled connections of each source address and host, those being made, in use and idle alike,
// and bounds them. It is safe for concurrent use.
type connections struct {
	limit int

	// mu guards open.
	mu   sync.Mutex
	open map[target]int
}

type target struct {
	source netip.Addr
	addr   string // host:port
}

// enter counts a connection to t until leave, which may be called more than once; false when there are too many.
func (c *connections) enter(t target) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[t] >= c.limit {
		return nil, false
	}
	c.open[t]++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open[t]--; c.open[t] == 0 {
			delete(c.open, t)
		}
	}), true
}

// countedSocket is counted until it is closed.
type countedSocket struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (s *countedSocket) Close() error {
	s.leave()
	return s.TCPConn.Close()
}
