//go:build live

package deploy_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// receiver is an OTLP receiver in this process.
type receiver struct {
	otlp.UnimplementedTraceServiceServer
	addr string

	mu    sync.Mutex
	spans []*trace.Span // guarded by mu
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{addr: l.Addr().String()}
	s := grpc.NewServer()
	otlp.RegisterTraceServiceServer(s, r)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }() // ends with Stop
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// Export implements the collector's service.
func (r *receiver) Export(_ context.Context, in *otlp.ExportTraceServiceRequest) (*otlp.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range in.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			r.spans = append(r.spans, ss.GetSpans()...)
		}
	}
	return &otlp.ExportTraceServiceResponse{}, nil
}

// traces are the spans that came so far, by trace.
func (r *receiver) traces() map[string][]*trace.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]*trace.Span{}
	for _, s := range r.spans {
		all[string(s.GetTraceId())] = append(all[string(s.GetTraceId())], s)
	}
	return all
}

func has(spans []*trace.Span, name string) bool {
	return slices.ContainsFunc(spans, func(s *trace.Span) bool { return s.GetName() == name })
}

// kind says in one word what a trace of the race tells.
func kind(spans []*trace.Span) string {
	for _, s := range spans {
		if s.GetName() == "token.exchange" {
			return "exchange"
		}
	}
	switch {
	case has(spans, "token.wait"):
		return "waiter"
	case has(spans, "proxy.request"):
		return "plain call"
	}
	return "other"
}
