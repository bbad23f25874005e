package proxy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

// limiter holds one client to its limits. Nil limits nothing.
type limiter struct {
	of    registry.Limits
	rate  *rate.Limiter // Nil: no limit.
	under atomic.Int64  // Requests under way.
}

// begin admits a request until end, or refuses it.
func (l *limiter) begin() *access.RefusalError {
	if l == nil {
		return nil
	}
	if n := l.under.Add(1); l.of.Concurrent > 0 && n > int64(l.of.Concurrent) {
		l.under.Add(-1)
		return &access.RefusalError{Code: codeRateLimited, RetryAfter: time.Second,
			Message: "this client has as many requests under way as its limits allow: wait for one to end"}
	}
	if l.rate != nil && !l.rate.Allow() {
		l.under.Add(-1)
		wait := time.Duration(float64(time.Second) / float64(l.rate.Limit()))
		return &access.RefusalError{Code: codeRateLimited, RetryAfter: max(wait, time.Second),
			Message: "this client sends more requests a second than its limits allow: slow down"}
	}
	return nil
}

func (l *limiter) end() {
	if l != nil {
		l.under.Add(-1)
	}
}

// limits are the limiters of all clients.
type limits struct {
	// mu guards of.
	mu sync.Mutex
	of map[string]*limiter
}

// get returns the limiter of c, the same one as long as its limits stay the same.
func (ls *limits) get(c *registry.Client) *limiter {
	if c == nil || c.Limits == (registry.Limits{}) {
		return nil
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.of[c.Name]; l != nil && l.of == c.Limits {
		return l
	}
	l := &limiter{of: c.Limits}
	if r := c.Limits.RequestsPerSecond; r > 0 {
		l.rate = rate.NewLimiter(rate.Limit(r), int(math.Max(1, math.Ceil(r))))
	}
	if ls.of == nil {
		ls.of = make(map[string]*limiter)
	}
	ls.of[c.Name] = l
	return l
}
