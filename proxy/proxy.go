package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elazarl/goproxy"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/virtual"
)

// What a client can send is bounded by these.
const (
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	handshakeTimeout  = 10 * time.Second
	frontIdleTimeout  = 2 * time.Minute
	frontWriteTimeout = time.Minute // From the head of a CONNECT to the end of its refusal; a tunnel has none.
	tunnelIdleTimeout = 10 * time.Minute
)

// Options are what a [Server] is made of.
type Options struct {
	Registry  Registry   // Required.
	Tokens    Tokens     // Required.
	Upstream  Upstream   // Required.
	Authority *Authority // Required: signs the certificates that clients see.

	LocalCallers access.LocalCallers
	Passthrough  access.Passthrough
	// PlaceholderKey seals what clients get in the place of access tokens, [virtual.KeySize] random bytes that all
	// replicas share. Nil: a new one, so that clients of this process log in again after its restart.
	PlaceholderKey []byte

	// MaxConnections is how many client connections are served at a time; 20,000 when zero.
	MaxConnections int
	// MaxReplayBody and MaxReplayMemory, in bytes, are how much of one body, and of all, is kept so that a refused
	// request can be sent again; 1 MiB and 64 MiB when zero.
	MaxReplayBody, MaxReplayMemory int64
	// IdleTimeout ends a tunnel on which nothing happens; 10 minutes when zero.
	IdleTimeout time.Duration
	// StallTimeout ends a request whose client sends nothing of its body, or takes nothing of its answer, for so long; a
	// minute when zero.
	StallTimeout time.Duration
	// MaxUpstream is how many requests of one org may be under way upstream at a time, each on a connection of its own,
	// beside four times as many long polls of CometD; 512 when zero. Of both, one client may have three quarters.
	MaxUpstream int
	// UpstreamWait is how long a request beyond that waits before it is refused as overloaded; 5 s when zero.
	UpstreamWait time.Duration

	Tracer trace.Tracer // Nil: no spans.
	Meter  metric.Meter // Nil: no metrics.
	// AccessLog gets one line a request at the level info; its handler should write in batches, and
	// must keep no part of a record: lines share their memory. Nil: none.
	AccessLog *slog.Logger
	// Log gets faults. Nil: none.
	Log *slog.Logger

	// VerifySecret reports whether a hash was made of a secret; [registry.VerifySecret] when nil.
	VerifySecret func(hash string, s secret.Text) bool
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.MaxReplayBody, 1<<20)
	def(&o.MaxReplayMemory, 64<<20)
	if o.MaxConnections == 0 {
		o.MaxConnections = 20000
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = tunnelIdleTimeout
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = stallTimeout
	}
	if o.MaxUpstream == 0 {
		o.MaxUpstream = maxUpstream
	}
	if o.UpstreamWait == 0 {
		o.UpstreamWait = upstreamWait
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AccessLog == nil {
		o.AccessLog = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) check() error {
	var errs []error
	if o.Registry == nil || o.Tokens == nil || o.Upstream == nil || o.Authority == nil {
		errs = append(errs, errors.New("proxy: Registry, Tokens, Upstream and Authority are required"))
	}
	if o.MaxConnections < 0 || o.MaxReplayBody < 0 || o.MaxReplayMemory < 0 || o.IdleTimeout < 0 ||
		o.StallTimeout < 0 || o.MaxUpstream < 0 || o.UpstreamWait < 0 {
		errs = append(errs, errors.New("proxy: limits must not be negative"))
	}
	return errors.Join(errs...)
}

// Server is the proxy. It is made by [New], serves any number of listeners, and is ended by [Server.Drain]. It is safe
// for concurrent use.
type Server struct {
	opts     Options
	identify *access.Identifier
	leaves   *leaves
	// placeholders are what clients with an OAuth of their own get.
	placeholders *virtual.Placeholders
	gate         *goproxy.ProxyHttpServer
	front        *http.Server // Of the listeners: CONNECT and what is no CONNECT.
	inner        *http.Server // Of all intercepted connections.
	handOver     *handOver    // From CONNECT to inner.
	metrics      *metrics
	replay       budget
	limits       limits
	orgs         orgs

	connections atomic.Int64
	turnedAway  atomic.Int64

	tunnels     tunnels
	draining    atomic.Bool   // Lanes close after the request under way.
	stopping    chan struct{} // Closed when Drain waits no longer.
	unsubscribe func()
	innerDone   chan struct{} // Closed when inner no longer serves.
	drained     sync.Once
}

// New checks o and makes a Server that doesn't listen yet. [Server.Drain] must be called in the end, whether it ever
// served or not.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	identifier, err := access.NewIdentifier(access.IdentifyOptions{Local: o.LocalCallers, Verify: o.VerifySecret})
	if err != nil {
		return nil, err
	}
	leaves, err := newLeaves(o.Authority)
	if err != nil {
		return nil, err
	}
	if o.PlaceholderKey == nil {
		o.PlaceholderKey = make([]byte, virtual.KeySize)
		rand.Read(o.PlaceholderKey) // Never fails (crypto/rand, Go 1.24).
	}
	placeholders, err := virtual.New(o.PlaceholderKey)
	if err != nil {
		return nil, fmt.Errorf("proxy: PlaceholderKey: %w", err)
	}
	s := &Server{
		opts:         o,
		placeholders: placeholders,
		identify:     identifier,
		leaves:       leaves,
		handOver:     newHandOver(),
		replay:       budget{limit: o.MaxReplayMemory},
		orgs:         orgs{limit: int64(o.MaxUpstream)},
		stopping:     make(chan struct{}),
		innerDone:    make(chan struct{}),
	}
	if s.metrics, err = newMetrics(o.Meter); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s.gate = s.newGate()
	var http1 http.Protocols
	http1.SetHTTP1(true)
	faults := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	s.front = &http.Server{
		Handler:           http.HandlerFunc(s.serveFront),
		Protocols:         &http1,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       frontIdleTimeout,
		WriteTimeout:      frontWriteTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          faults,
		ConnState:         s.frontState,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, frontKey{}, c)
		},
	}
	s.inner = &http.Server{
		Handler: http.HandlerFunc(s.serveRequest),
		// Each stream may hold a connection upstream. net/http runs the handlers of streams that were reset up to four
		// times this number.
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100, WriteByteTimeout: o.StallTimeout},
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          faults,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, tunnelKey{}, tunnelOf(c))
		},
	}
	s.handOver.serving = func() { keepScheme(s.inner) }
	s.unsubscribe = o.Registry.Subscribe(s.registryChanged)
	go func() { // Ends when Drain shuts inner down.
		defer close(s.innerDone)
		if err := s.inner.Serve(s.handOver); err != nil && !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the server of intercepted connections ended", slog.Any("error", err))
		}
	}()
	return s, nil
}

// Serve takes connections from l until [Server.Drain] or a fault of l; it returns nil after Drain. l may be TCP, a Unix
// socket or TLS that offers HTTP/1.1 only. A caller on a Unix socket or a loopback address is local.
func (s *Server) Serve(l net.Listener) error {
	err := s.front.Serve(&frontListener{Listener: l, server: s, local: isLocal(l.Addr())})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ActivateAuthority signs with a from now on. Connections that are open keep their certificates.
func (s *Server) ActivateAuthority(a *Authority) { s.leaves.activate(a) }

func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}
