package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// tunnels are the connections that are no longer the front server's, and the goroutines beside its own.
type tunnels struct {
	// mu guards the fields below, and orders enter and spawn against the drain.
	mu       sync.Mutex
	all      map[*tunnel]struct{}
	draining bool
	closed   bool
	empty    chan struct{} // Set when somebody waits for all to be empty, closed when it is.

	entering sync.WaitGroup // CONNECTs being judged and handshakes: ended by their time limits.
	work     sync.WaitGroup // What spawn started.
}

// enter counts a CONNECT that is being judged, until leave; false when a drain has begun.
func (ts *tunnels) enter() bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.draining {
		return false
	}
	ts.entering.Add(1)
	return true
}

func (ts *tunnels) leave() { ts.entering.Done() }

// spawn runs f in a goroutine that the drain waits for; false, and f is not run, when all were closed.
func (ts *tunnels) spawn(f func()) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return false
	}
	ts.work.Go(f) // Ends with f; each caller says when that is.
	return true
}

// add keeps t until its Close; false when all were closed.
func (ts *tunnels) add(t *tunnel) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return false
	}
	if ts.all == nil {
		ts.all = make(map[*tunnel]struct{})
	}
	ts.all[t] = struct{}{}
	return true
}

func (ts *tunnels) remove(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.all, t)
	if len(ts.all) == 0 && ts.empty != nil {
		close(ts.empty)
		ts.empty = nil
	}
}

// drain lets no CONNECT in any more and returns what is closed when those being judged are done.
func (ts *tunnels) drain() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.draining = true
	done := make(chan struct{})
	go func() { // Ends when the last handshake does; closing its connection ends that.
		ts.entering.Wait()
		close(done)
	}()
	return done
}

// whenEmpty returns what is closed when no tunnel is left.
func (ts *tunnels) whenEmpty() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	empty := make(chan struct{})
	if len(ts.all) == 0 {
		close(empty)
	} else {
		ts.empty = empty
	}
	return empty
}

// closeAll closes those that match, and with last lets none in any more.
func (ts *tunnels) closeAll(last bool, match func(*tunnel) bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = ts.closed || last
	for t := range ts.all {
		if match(t) {
			t.cut()
		}
	}
}

// cut ends t from outside: whatever waits, for the client or for the other side, wakes and closes t itself.
func (t *tunnel) cut() {
	socketOf(t.Conn).Close()
	if t.upstream != nil {
		t.upstream.Close()
	}
	if l := t.lane.Load(); l != nil {
		// It may not see that its client is gone: who sent the beginning of another request isn't watched any more.
		l.cancel()
	}
}

// socketOf returns the connection below TLS, whose own Close writes, and so may wait for a client that doesn't read.
func socketOf(c net.Conn) net.Conn {
	for {
		switch over := c.(type) {
		case *readAhead:
			c = over.Conn
		case *frontConn:
			c = over.Conn
		case *tls.Conn:
			c = over.NetConn()
		default:
			return c
		}
	}
}

// CloseClient ends the tunnels of the client of that name at once, requests under way too.
func (s *Server) CloseClient(name string) {
	s.tunnels.closeAll(false, func(t *tunnel) bool { return !t.id.Local && t.id.Name == name })
}

// registryChanged ends the tunnels of callers that are no longer who they proved to be, and passthrough tunnels that
// are no longer allowed.
func (s *Server) registryChanged() {
	snap := s.opts.Registry.Snapshot()
	s.tunnels.closeAll(false, func(t *tunnel) bool {
		if t.refusal != nil {
			return false
		}
		if !s.identify.Stands(snap, t.id) {
			return true
		}
		if !t.passthrough {
			return false
		}
		_, refusal := s.opts.Passthrough.Connect(snap, t.id, t.target)
		return refusal != nil || snap.Claimed(t.target.Host)
	})
}

// Drain ends the Server: a new CONNECT is refused as shutting_down, requests under way and passthrough tunnels are
// waited for until ctx ends, then everything is closed. It returns ctx's error if something had to be cut. Only the
// first call does anything.
func (s *Server) Drain(ctx context.Context) (err error) {
	s.drained.Do(func() { err = s.drain(ctx) })
	return err
}

func (s *Server) drain(ctx context.Context) error {
	s.unsubscribe()
	entered := s.tunnels.drain()
	wait := func(done <-chan struct{}) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	wait(entered) // What is in its handshake becomes a tunnel first.
	s.draining.Store(true)
	s.tunnels.closeAll(false, drainLane)
	err := s.inner.Shutdown(ctx) // Idle connections close at once, others after their requests.
	wait(s.tunnels.whenEmpty())
	if err == nil {
		err = ctx.Err()
	}
	close(s.stopping)
	s.tunnels.closeAll(true, func(*tunnel) bool { return true })
	if cerr := errors.Join(s.inner.Close(), s.front.Close()); !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr) // A listener that its owner closed is no fault.
	}
	<-s.innerDone
	<-entered
	s.tunnels.work.Wait()
	return err
}
