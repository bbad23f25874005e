package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/virtual"
	"github.com/sallyport/sallyport/tokens"
)

// call is one request inside a tunnel and what became of it.
type call struct {
	server *Server
	tunnel *tunnel
	w      http.ResponseWriter
	lean   *laneWriter // The same as w in a lane, whose request is the call's own; else nil.
	r      *http.Request
	span   trace.Span
	start  time.Time

	bind *binding
	to   route
	path string // Canonical.
	form form
	// endpoint is what sallyport answers itself in the place of Salesforce; 0 usually.
	endpoint virtual.Kind
	carrier  carrier
	// envelope is of a SOAP request, whose session is in the body; else nil.
	envelope *envelope
	upload   *upload // What the body is read from; nil without one.
	body     *replayBody
	scanned  *access.Scanned
	gate     *gate // Which it went through; nil before.
	share    *semaphore.Weighted
	trailers []string // That the answer announced.

	token    tokens.Token
	attempts int
	reported *access.RefusalError // What report mode let through.

	status    int
	code      access.Code // Why sallyport itself answered.
	aborted   bool
	written   int64
	waited    time.Duration // For tokens.
	sent      time.Time     // The last attempt.
	answered  time.Time
	firstByte time.Time

	attrs [16]slog.Attr // Of the line in the access log, so that it costs no allocation of its own.
}

// serveRequest serves one request of an intercepted connection.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(tunnelKey{}).(*tunnel)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	c := &call{server: s, tunnel: t, w: w, r: r, start: time.Now(), path: r.URL.Path, bind: s.bind(t)}
	c.run()
}

// run serves the request. It panics with http.ErrAbortHandler when the answer must look cut.
func (c *call) run() {
	c.startSpan()
	defer c.finish()
	if err := c.judge(); err != nil {
		c.fail(err)
		return
	}
	defer c.bind.limit.end()
	if c.endpoint != 0 {
		c.virtually()
		return
	}
	defer c.releaseBody()
	if c.virtualSession() {
		return
	}
	defer c.leave()
	resp, err := c.send()
	if err != nil {
		c.fail(err)
		return
	}
	c.respond(resp)
}

func (c *call) releaseBody() {
	c.body.release()
	if c.upload != nil && c.r.ProtoMajor == 2 {
		c.upload.stall.forget() // A Read that is under way ends with the stream, and the stream with the handler.
	}
	if c.envelope != nil {
		c.server.replay.give(c.envelope.taken)
	}
}

// judge decides whether the request may go and where. When it returns no error it has begun with the client's limits.
func (c *call) judge() error {
	t, r := c.tunnel, c.r
	grpc := isGRPC(r.Header)
	c.form = formOf(r.URL.Path, grpc)
	if t.refusal != nil {
		return c.closing(t.refusal)
	}
	if !c.bind.stands {
		return c.closing(&access.RefusalError{Code: access.OrgNotAllowed,
			Message: "the client was removed, disabled, or given another secret: connect again"})
	}
	if refusal := checkAuthority(t.target, r); refusal != nil {
		return refusal
	}
	path, send, refusal := access.Canonical(r.URL.EscapedPath())
	if refusal != nil {
		return refusal
	}
	c.path = path
	c.form = formOf(path, grpc)
	if refusal := plainly(r); refusal != nil {
		return refusal
	}
	if refusal := c.chooseOrg(); refusal != nil {
		return refusal
	}
	if c.endpoint, _ = virtual.Endpoint(path); c.endpoint != 0 {
		if refusal := c.supported(grpc); refusal != nil {
			return refusal
		}
		return orNil(c.bind.limit.begin())
	}
	override := ""
	if v := r.Header["X-Http-Method-Override"]; len(v) > 0 {
		if override = v[0]; len(v) > 1 {
			return &access.RefusalError{Code: access.BadRequest, Message: "the request overrides its method more than once"}
		}
	}
	refusal = c.bind.policy.Check(access.Request{
		Method: r.Method, Path: path, RawQuery: r.URL.RawQuery, Override: override, GRPC: grpc,
	})
	if refusal != nil && !(refusal.Reportable && c.bind.policy.Reports()) {
		return refusal
	}
	c.reported = refusal
	if refusal := c.opaque(); refusal != nil {
		return refusal
	}
	if refusal := c.supported(grpc); refusal != nil {
		return refusal
	}
	if refusal := c.bind.limit.begin(); refusal != nil {
		return refusal
	}
	if err := c.rewrite(path, send, grpc); err != nil {
		c.bind.limit.end()
		return err
	}
	return nil
}

// orNil makes no refusal no error.
func orNil(refusal *access.RefusalError) error {
	if refusal == nil {
		return nil
	}
	return refusal
}

// plainly refuses what would be judged otherwise than it is sent: a method or a query that ends the request line, which
// HTTP/2 lets through, and a method's override that leaves with the connection's own headers.
func plainly(r *http.Request) *access.RefusalError {
	if !all(r.Method, &tokenBytes) {
		return &access.RefusalError{Code: access.BadRequest, Message: "the request's method has a character that no method has"}
	}
	for i := range len(r.URL.RawQuery) {
		if c := r.URL.RawQuery[i]; c <= ' ' || c == 0x7f || c == '#' {
			return &access.RefusalError{Code: access.BadRequest, Message: "the query has a character that must be escaped"}
		}
	}
	if len(r.Header["X-Http-Method-Override"]) > 0 && connectionNames(r.Header, "X-Http-Method-Override") {
		return &access.RefusalError{Code: access.BadRequest, Message: "Connection names the method's override, which would not reach Salesforce"}
	}
	return nil
}

// opaque refuses a body that must be looked into and can't be. In report mode it is only told.
func (c *call) opaque() *access.RefusalError {
	coding := c.r.Header["Content-Encoding"]
	if len(coding) == 0 || len(coding) == 1 && strings.EqualFold(coding[0], "identity") || !c.bind.policy.NeedsScan(c.path) {
		return nil // An envelope is decoded first.
	}
	refusal := &access.RefusalError{Code: access.RequestNotAllowed, Reportable: true,
		Message: "a compressed body on this path can hide what this client may not use: send it as it is"}
	if c.bind.policy.Reports() {
		c.reported = refusal
		return nil
	}
	return refusal
}

// closing answers err and ends the connection.
func (c *call) closing(err *access.RefusalError) error {
	c.w.Header().Set("Connection", "close")
	return err
}

// checkAuthority sees to it that a request goes where the CONNECT said: what was decided at CONNECT holds for no other
// authority.
func checkAuthority(target access.Target, r *http.Request) *access.RefusalError {
	ok := target.Names(r.Host) && (r.URL.Scheme == "" || r.URL.Scheme == "https")
	if v := r.Header["Host"]; len(v) > 0 { // Beside :authority in HTTP/2.
		ok = ok && target.Names(v[0])
	}
	if !ok {
		return &access.RefusalError{Code: access.Misdirected,
			Message: "the request is for another authority than CONNECT named, " + target.String() + ": open a tunnel to it"}
	}
	return nil
}

func (c *call) chooseOrg() *access.RefusalError {
	v := c.r.Header[headerOrg]
	switch {
	case len(v) > 1:
		return errManyOrgs
	case len(v) == 1 && v[0] != "":
		to, refusal := c.server.route(c.bind.snap, c.tunnel, v[0])
		c.to = to
		return refusal
	}
	c.to = c.bind.to
	return c.bind.refusal
}

// supported refuses what no API uses.
func (c *call) supported(grpc bool) *access.RefusalError {
	switch {
	case len(c.r.Header["Upgrade"]) > 0 && !c.offersHTTP2():
		return errUpgrade
	case c.r.Method == http.MethodConnect, c.r.Method == http.MethodTrace:
		return &access.RefusalError{Code: access.BadRequest, Message: "the method " + c.r.Method + " is never forwarded"}
	case grpc && c.r.ProtoMajor != 2:
		return errGRPCProto
	}
	return nil
}

// offersHTTP2 reports whether the request would go on in HTTP/2 over plain TCP, as Java's client offers with every first
// one outside of a tunnel. Not to take the offer is as good (RFC 9110, section 7.8), and it goes no further.
func (c *call) offersHTTP2() bool {
	v := c.r.Header["Upgrade"]
	return frontOf(c.r) != nil && len(v) == 1 && strings.EqualFold(v[0], "h2c")
}

// rewrite makes c.r what goes upstream: the canonical path, no credential of the client, nothing of this hop. The
// header is net/http's own and is changed in place; the server reads nothing more from it.
func (c *call) rewrite(path, send string, grpc bool) error {
	in, out := c.r, c.r
	if c.lean == nil {
		out = in.WithContext(in.Context())
	}
	u := &url.URL{Scheme: "https", Host: c.tunnel.target.Host, Path: path, RawQuery: stripQuery(in.URL.RawQuery)}
	if c.tunnel.target.Port != 443 {
		u.Host = c.tunnel.target.String()
	}
	if send != path {
		u.RawPath = send
	}
	out.URL, out.Host, out.RequestURI, out.Close = u, u.Host, "", false
	c.carrier = carrierOf(path, grpc, strip(out.Header))
	if grpc {
		out.Header["Te"] = []string{"trailers"} // gRPC over HTTP/2 demands it, and it stands for no hop.
	}
	switch {
	case in.Body == nil || in.Body == http.NoBody:
	case in.ContentLength == 0: // HTTP/2 has a reader for what it knows to be empty.
		out.Body, out.Trailer = http.NoBody, nil
	default:
		if err := c.wrapBody(out); err != nil {
			return err
		}
	}
	if c.carrier == carrierSOAP && c.envelope == nil {
		return errSOAPMethod
	}
	c.r = out
	return nil
}

// limitUpload has r's body, if it has one, read within the limit of uploads. That of a direct request is already.
func (c *call) limitUpload(r *http.Request) {
	if c.upload == nil && r.Body != nil && r.Body != http.NoBody {
		c.upload = newUpload(r.Body, c.w, c.server.opts.StallTimeout)
		r.Body = c.upload
	}
}

func (c *call) wrapBody(out *http.Request) (err error) {
	c.limitUpload(out)
	src := out.Body
	if len(out.Trailer) > 0 {
		src = passTrailers(out, src)
	}
	length := out.ContentLength
	switch c.carrier {
	case carrierGRPC:
		src = &grpcMessages{ReadCloser: src, upload: c.upload}
	case carrierSOAP:
		var zipped bool
		if src, zipped, err = c.unzip(src); err != nil {
			return err
		}
		if zipped {
			length, out.ContentLength = -1, -1
		}
		if src, err = c.readEnvelope(src, length, zipped); err != nil {
			return err
		}
		if length >= 0 {
			length -= c.envelope.taken
		}
	default:
		if c.bind.policy.NeedsScan(c.path) {
			if c.scanned = c.bind.policy.Scan(src); c.carrier == carrierBulk {
				c.scanned = c.bind.policy.ScanXML(src)
			}
			src = c.scanned
		}
	}
	c.body = newReplayBody(src, length, c.server.opts.MaxReplayBody, &c.server.replay)
	c.body.apart = c.carrier == carrierGRPC
	out.Body, _ = c.body.next()
	if out.ProtoMajor == 1 {
		// Else the server reads the rest of the body before it writes an answer that comes early. HTTP/1.1 can do it.
		if err := http.NewResponseController(c.w).EnableFullDuplex(); err != nil {
			c.server.opts.Log.DebugContext(out.Context(), "an answer can't overtake its request", errorAttr(err))
		}
	}
	// The transport asks for it when a kept-alive connection was closed before anything was written.
	out.GetBody = func() (io.ReadCloser, error) {
		again, ok := c.body.next()
		if !ok {
			return nil, errNoReplay
		}
		if c.envelope != nil {
			again, _ = c.envelope.with(c.token.Access.Reveal(), again)
		}
		return again, nil
	}
	return nil
}

// fail answers err, unless the caller is gone.
func (c *call) fail(err error) {
	err = c.reason(err)
	if errors.Is(err, errUploadStalled) {
		c.w.Header().Set("Connection", "close")
	}
	if gone(c.r.Context(), err) || c.uploadBroke(err) || errors.Is(err, errUploadBroke) {
		c.abort()
	}
	a := explain(err)
	a.base = c.tunnel.base != ""
	c.status, c.code = a.shown(), a.code
	c.written = int64(writeAnswer(c.w, a, c.form, c.bayeux()...))
}

// reason is what lies behind err: what the request's own body was refused for, if it was.
func (c *call) reason(err error) error {
	if c.scanned != nil {
		if refusal := c.scanned.Refusal(); refusal != nil && !errors.Is(err, context.Canceled) {
			if !c.bind.policy.Reports() || !refusal.Reportable {
				err = refusal
			}
		}
	}
	if refusal, ok := errors.AsType[*access.RefusalError](c.body.failed()); ok {
		err = refusal
	}
	return err
}

// uploadBroke reports whether err is there because the client's own body ended early.
func (c *call) uploadBroke(err error) bool {
	failed := c.body.failed()
	var refusal *access.RefusalError
	return failed != nil && !errors.As(failed, &refusal) && !errors.As(err, &refusal)
}

// abort cuts the answer: a client must never take a part for the whole.
func (c *call) abort() {
	c.aborted = true
	panic(http.ErrAbortHandler)
}

// reportedRefusal is what report mode let through, nil if nothing.
func (c *call) reportedRefusal() *access.RefusalError {
	if c.reported == nil && c.scanned != nil && c.code == "" {
		return c.scanned.Refusal()
	}
	return c.reported
}
