package sfsim

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a Sim behind TLS on a listener.
type Server struct {
	http    *http.Server
	addr    net.Addr
	closing chan struct{}
	once    sync.Once
	work    tally // the accept loop, connections and handlers
}

// Start serves TLS (HTTP/1.1 and HTTP/2) on addr, such as 127.0.0.1:0, until
// Close. A Sim may have several servers.
func (s *Sim) Start(addr string) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("sfsim: %w", err)
	}
	v := &Server{addr: l.Addr(), closing: make(chan struct{})}
	v.work.idle.L = &v.work.mu
	v.http = &http.Server{
		Handler:           v.counted(s),
		TLSConfig:         &tls.Config{GetCertificate: s.leafFor, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 30 * time.Second,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          log.New(io.Discard, "", 0), // broken handshakes are the tests' purpose
		ConnState:         v.count,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			var closing <-chan struct{} = v.closing
			return context.WithValue(context.WithValue(ctx, closingKey{}, closing), connKey{}, c)
		},
	}
	v.work.add(1)
	go func() { // ends when Close closes the listener
		defer v.work.add(-1)
		_ = v.http.ServeTLS(l, "", "") // always ErrServerClosed: GetCertificate is set
	}()
	return v, nil
}

func (v *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.work.add(1)
		defer v.work.add(-1)
		select {
		case <-v.closing:
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (v *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		v.work.add(1)
	case http.StateClosed, http.StateHijacked:
		v.work.add(-1)
	}
}

// Addr returns the listener's address, such as 127.0.0.1:43127.
func (v *Server) Addr() string { return v.addr.String() }

// Close ends the listener, all connections and all handlers, and returns when
// nothing of them is left. Handlers that wait in a fault are aborted; a hook that
// blocks holds it up.
func (v *Server) Close() error {
	v.once.Do(func() { close(v.closing) })
	err := v.http.Close()
	v.work.wait()
	return err
}

// tally counts what runs. Unlike a WaitGroup it may go up from zero while
// somebody waits: an HTTP/2 handler can begin as its connection ends.
type tally struct {
	mu   sync.Mutex // guards n
	n    int
	idle sync.Cond // n reached zero
}

func (t *tally) add(d int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n += d; t.n == 0 {
		t.idle.Broadcast()
	}
}

func (t *tally) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.n > 0 {
		t.idle.Wait()
	}
}
