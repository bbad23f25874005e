package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
)

// statusGone is what the log says of a request whose caller went away or whose answer was cut.
const statusGone = 499

var serverSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

func errorAttr(err error) slog.Attr { return slog.Any("error", err) }

// startSpan begins the span of a request and puts it into the request's context. A trusted client's traceparent is its
// parent, another one's is linked.
func (c *call) startSpan() {
	tracer := c.server.opts.Tracer
	if tracer == nil {
		return
	}
	ctx, opts := c.r.Context(), serverSpan
	parent := c.tunnel.parent
	if p := remoteParent(c.r.Header); p.IsValid() {
		parent = p
	}
	switch {
	case !parent.IsValid():
	case c.bind.trusted:
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	default:
		opts = append(opts[:len(opts):len(opts)], trace.WithLinks(trace.Link{SpanContext: parent}))
	}
	ctx, c.span = tracer.Start(ctx, attr.SpanRequest, opts...)
	c.r = c.r.WithContext(ctx)
}

// finish records, traces and logs the request.
func (c *call) finish() {
	took := time.Since(c.start)
	if c.aborted && c.status == 0 {
		c.status = statusGone
	}
	overhead := c.overhead()
	org := ""
	metrics := &c.server.metrics.none
	if c.to.org != nil {
		org, metrics = c.to.org.Name, &c.to.state.metrics
	}
	k := series{method: c.r.Method, status: c.status, code: string(c.code)}
	if c.aborted {
		k.code = "aborted"
	}
	ctx := c.r.Context()
	c.server.metrics.record(ctx, metrics, org, k, took, overhead)
	c.endSpan(org)
	c.log(ctx, org, took, overhead)
}

// overhead is the time spent here; below zero for a request that was never answered by Salesforce.
func (c *call) overhead() time.Duration {
	if c.answered.IsZero() || c.firstByte.IsZero() {
		return -1
	}
	return c.sent.Sub(c.start) - c.waited + c.firstByte.Sub(c.answered)
}

func (c *call) endSpan(org string) {
	if c.span == nil {
		return
	}
	defer c.span.End()
	if !c.span.IsRecording() {
		return
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", knownMethod(c.r.Method)),
		attribute.String("url.scheme", "https"),
		attribute.String("url.path", c.path),
		attribute.String("server.address", c.tunnel.target.Host),
		attribute.Int("server.port", int(c.tunnel.target.Port)),
		attribute.String("client.address", c.tunnel.peer),
		attribute.Int("http.response.status_code", c.status),
		attribute.String("network.protocol.version", strconv.Itoa(c.r.ProtoMajor)+"."+strconv.Itoa(c.r.ProtoMinor)),
		attr.Client.String(c.tunnel.id.Label()),
		attr.Decision.String(c.decision()),
		attr.Attempts.Int(c.attempts),
	}
	if org != "" {
		attrs = append(attrs, attr.Org.String(org))
	}
	if c.attempts > 0 {
		attrs = append(attrs, attr.Epoch.Int64(c.token.Place.Epoch), attr.Generation.Int64(c.token.Place.Generation))
	}
	switch {
	case c.code != "":
		attrs = append(attrs, attr.ErrorCode.String(string(c.code)), attr.ErrorType.String(string(c.code)))
	case c.aborted:
		attrs = append(attrs, attr.ErrorType.String("aborted"))
	}
	c.span.SetAttributes(attrs...)
	if c.status >= http.StatusInternalServerError || c.aborted {
		c.span.SetStatus(codes.Error, string(c.code))
	}
}

// decision says in one word what was decided about the request.
func (c *call) decision() string {
	switch {
	case c.code != "":
		return string(c.code)
	case c.reportedRefusal() != nil:
		return "reported"
	case c.attempts > 1:
		return "retried"
	}
	return "forwarded"
}

// log writes the request's line in the access log. It has no query string and no header.
func (c *call) log(ctx context.Context, org string, took, overhead time.Duration) {
	l := c.server.opts.AccessLog
	if !l.Enabled(ctx, slog.LevelInfo) {
		return
	}
	c.attrs = [...]slog.Attr{
		slog.String("client", c.tunnel.id.Label()),
		slog.String("org", org),
		slog.String("host", c.tunnel.target.Host),
		slog.String("method", c.r.Method),
		slog.String("path", c.path),
		slog.Int("status", c.status),
		slog.String("decision", c.decision()),
		slog.Int64("generation", c.token.Place.Generation),
		slog.Int("attempts", c.attempts),
		slog.Int64("bytes_in", c.bytesIn()),
		slog.Int64("bytes_out", c.written),
		slog.Duration("duration", took),
		slog.Duration("overhead", max(overhead, 0)),
		slog.Bool("cut", c.aborted),
		{}, {},
	}
	n := len(c.attrs) - 2
	if r := c.reportedRefusal(); r != nil {
		c.attrs[n] = slog.String("reported", r.Message)
		n++
	}
	if c.span != nil {
		if sc := c.span.SpanContext(); sc.IsSampled() {
			c.attrs[n] = slog.String("trace_id", sc.TraceID().String())
			n++
		}
	}
	// A group without a key is one attribute, which the record has room for; handlers see its members.
	// No context: the identifiers of a trace that isn't sampled lead nowhere.
	l.LogAttrs(context.Background(), slog.LevelInfo, "request", slog.Attr{Value: slog.GroupValue(c.attrs[:n]...)})
}

func (c *call) bytesIn() int64 {
	if c.body == nil {
		return 0
	}
	return c.body.read.Load()
}

// logConnect writes the line of a CONNECT that was refused.
func (s *Server) logConnect(r *http.Request, a answer, took time.Duration) {
	s.opts.AccessLog.LogAttrs(r.Context(), slog.LevelInfo, "connect",
		slog.String("peer", r.RemoteAddr), slog.String("host", r.URL.Host), slog.Int("status", a.status),
		slog.String("decision", string(a.code)), slog.Duration("duration", took))
}

// logTunnel writes the line of a passthrough tunnel that ended.
func (s *Server) logTunnel(ctx context.Context, t *tunnel, sent, received int64, took time.Duration) {
	s.opts.AccessLog.LogAttrs(ctx, slog.LevelInfo, "tunnel",
		slog.String("client", t.id.Label()), slog.String("host", t.target.String()), slog.String("decision", "tunnelled"),
		slog.Int64("bytes_in", sent), slog.Int64("bytes_out", received), slog.Duration("duration", took))
}
