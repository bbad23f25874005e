package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/elazarl/goproxy"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/proxy/access"
)

// headerOrg chooses among the orgs of a host; it is never forwarded.
const headerOrg = "Sallyport-Org"

var errNoDial = errors.New("goproxy dials nothing: internal/egress is the only way out")

// admittedKey is of the tunnel of a CONNECT that was let in.
type admittedKey struct{}

// newGate makes the goproxy that dispatches what comes in. Its own transport, dialler and certificates are out of use:
// by default they skip verification, read the environment, and have a public key.
func (s *Server) newGate() *goproxy.ProxyHttpServer {
	g := goproxy.NewProxyHttpServer()
	g.Tr = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errNoDial }}
	g.ConnectDial = nil
	g.ConnectDialWithReq = func(*http.Request, string, string) (net.Conn, error) { return nil, errNoDial }
	g.Logger = slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug)
	// What isn't a CONNECT never gets here, see serveFront.
	g.NonproxyHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeAnswer(w, explain(errNoBase), formJSON)
	})
	g.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		return r, response(r, explain(errPlaintext))
	})
	g.OnRequest().HandleConnectFunc(s.dispatch)
	// Without a handler that decides, goproxy lets CONNECT through.
	g.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectReject}, host
	})
	return g
}

// dispatch takes over the connection of a CONNECT that serveConnect let in.
func (s *Server) dispatch(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	t, ok := ctx.Req.Context().Value(admittedKey{}).(*tunnel)
	if !ok {
		return nil, host
	}
	return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: func(_ *http.Request, c net.Conn, _ *goproxy.ProxyCtx) {
		t.Conn = c
		if t.passthrough {
			s.splice(t, t.upstream)
			return
		}
		s.intercept(t)
	}}, host
}

// serveFront serves what comes in on the listeners.
func (s *Server) serveFront(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		s.serveDirect(w, r)
		return
	}
	if front := frontOf(r); front != nil {
		front.stall.Store(0) // It is the tunnel's own.
	}
	start := time.Now()
	t, err := s.admit(r)
	if err != nil {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
		ans := explain(err)
		if ans.code == codeShuttingDown {
			w.Header().Set("Connection", "close")
		}
		writeAnswer(w, ans, formJSON)
		s.logConnect(r, ans, time.Since(start))
		return
	}
	defer s.tunnels.leave()
	ctx := context.WithValue(r.Context(), admittedKey{}, t)
	s.gate.ServeHTTP(&hijackable{ResponseWriter: w}, r.WithContext(ctx))
}

// admit identifies the caller of a CONNECT and decides. When it returns no error, tunnels.leave must be called.
func (s *Server) admit(r *http.Request) (*tunnel, error) {
	if !s.tunnels.enter() {
		return nil, errShuttingDown
	}
	t, err := s.judgeConnect(r)
	if err != nil {
		s.tunnels.leave()
		return nil, err
	}
	return t, nil
}

func (s *Server) judgeConnect(r *http.Request) (*tunnel, error) {
	target, refusal := access.ParseTarget(r.URL.Host)
	if refusal != nil {
		return nil, refusal
	}
	var creds access.Credentials
	if v := r.Header["Proxy-Authorization"]; len(v) == 1 { // Which of several counts is anyone's guess: it is as if there were none.
		creds, _ = access.ParseBasic(v[0])
	}
	snap := s.opts.Registry.Snapshot()
	t := &tunnel{
		server: s, target: target, local: callerOf(r).Local, userOrg: creds.Org, connectOrg: r.Header.Get(headerOrg),
		parent: remoteParent(r.Header), peer: r.RemoteAddr,
	}
	id, err := s.identify.Identify(r.Context(), snap, creds, callerOf(r))
	var overload *access.RefusalError
	if errors.As(err, &overload) && overload.Code == access.Overloaded && snap.Claimed(target.Host) {
		// Clients show nothing of a refused CONNECT: this is said inside.
		t.refusal = overload
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.id = id
	route, refusal := s.opts.Passthrough.Connect(snap, id, target)
	if refusal != nil {
		return nil, refusal
	}
	if route == access.Intercept {
		if len(r.Header[headerOrg]) > 1 { // Said inside, as above.
			t.refusal = errManyOrgs
		}
		return t, nil
	}
	t.passthrough = true
	if t.upstream, err = s.opts.Upstream.DialTunnel(r.Context(), id.Name, target.String()); err != nil {
		return nil, err
	}
	return t, nil
}

// remoteParent reads a client's traceparent (W3C Trace Context). baggage is ignored.
func remoteParent(h http.Header) trace.SpanContext {
	if len(h["Traceparent"]) == 0 {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	return trace.SpanContextFromContext(ctx)
}

// hijackable gives goproxy a connection that still has what net/http had already read behind the CONNECT's head;
// goproxy drops the reader that has it.
type hijackable struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		b, err := rw.Reader.Peek(n)
		if err != nil {
			c.Close()
			return nil, nil, err
		}
		c = &readAhead{Conn: c, ahead: bytes.Clone(b)}
	}
	return c, rw, nil
}

// readAhead is a connection of which something was read already. It is read by one goroutine at a time.
type readAhead struct {
	net.Conn
	ahead []byte
}

// Read implements net.Conn.
func (c *readAhead) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// CloseWrite ends one direction, where the connection can.
func (c *readAhead) CloseWrite() error { return closeWrite(c.Conn) }
