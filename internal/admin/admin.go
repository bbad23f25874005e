package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// The limits of the listeners. A command on a grant may have to wait for an exchange and for two introspections.
const (
	maxHead        = 64 << 10
	headTimeout    = 10 * time.Second
	bodyTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	queryTimeout   = 30 * time.Second
	commandTimeout = 5 * time.Minute
	writeTimeout   = commandTimeout + time.Minute
	maxInFlight    = 64
)

// Options of a [Server]. Egress, Checks, Hosts, Metrics and Logger may be left out; Token is required with ServeV1.
type Options struct {
	Registry Registry
	Grants   Grants
	Enroller Enroller
	Ender    Ender
	History  History
	CA       CA
	// Egress tells about the ways out; nil: its paths answer 404.
	Egress Egress
	// Ready tells whether this process can serve somebody. It must be cheap and not wait for a store.
	Ready func(context.Context) Readiness
	// Checks are the doctor's findings about what this package doesn't see: store, keys, clocks, CA, addresses.
	Checks func(context.Context) []Finding
	// Metrics serves /metrics.
	Metrics http.Handler
	// ServeV1 has [Server.Public] serve /v1/ to who has Token. Set it only where the listener is loopback or TLS.
	ServeV1 bool
	Token   secret.Text
	// Hosts are the names, besides IP literals and localhost, that the Host header of a public request may have.
	Hosts  []string
	Logger *slog.Logger
}

// Server answers the admin API. It is made by [New], keeps begun authorisations in memory, and is safe for concurrent
// use.
type Server struct {
	o        Options
	log      *slog.Logger
	token    [sha256.Size]byte
	begun    authorizations
	inFlight chan struct{}
}

// New checks o. It fails when something required is missing.
func New(o Options) (*Server, error) {
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Registry", o.Registry == nil}, {"Grants", o.Grants == nil}, {"Enroller", o.Enroller == nil}, {"Ender", o.Ender == nil},
		{"History", o.History == nil}, {"CA", o.CA == nil}, {"Ready", o.Ready == nil}, {"Token", o.ServeV1 && o.Token.IsZero()},
	} {
		if need.missing {
			return nil, errors.New("admin: Options." + need.name + " is required")
		}
	}
	if o.Checks == nil {
		o.Checks = func(context.Context) []Finding { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Hosts = slices.Clone(o.Hosts)
	for i, h := range o.Hosts {
		o.Hosts[i] = strings.ToLower(h)
	}
	return &Server{o: o, log: o.Logger, token: sha256.Sum256([]byte(o.Token.Reveal())), inFlight: make(chan struct{}, maxInFlight)}, nil
}

// Public returns the handler of SALLYPORT_ADMIN_LISTEN: health, readiness, metrics and, with ServeV1, /v1/ for who has
// the token. It refuses what a web page could make a browser send.
func (s *Server) Public() http.Handler {
	mux := http.NewServeMux()
	s.health(mux)
	if s.o.ServeV1 {
		mux.Handle("/v1/", s.authenticated(s.v1()))
	} else {
		mux.Handle("/v1/", problemHandler(ProblemError{Status: http.StatusNotFound, Code: codeNotServed,
			Detail: "/v1/ isn't served on this listener, which is neither loopback nor TLS",
			Hint:   "set SALLYPORT_ADMIN_TLS_CERT and SALLYPORT_ADMIN_TLS_KEY, or use the admin socket"}))
	}
	return s.guarded(mux)
}

// Local returns the handler of the admin socket: everything, without a token, since only the socket's owner can open
// it.
func (s *Server) Local() http.Handler {
	mux := http.NewServeMux()
	s.health(mux)
	mux.Handle("/v1/", as(socketActor, s.v1()))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// NewHTTPServer returns a server for one of the handlers with the limits that it needs: heads of 64 KiB in 10 s,
// answers in 6 minutes. On a Unix socket it learns who calls, for the audit.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: headTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ConnContext: ConnContext,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}
