//go:build live

package deploy_test

import (
	"slices"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/internal/otlptest"
)

// traces are the spans that came so far, by trace.
func traces(r *otlptest.Receiver) map[string][]*trace.Span {
	all := map[string][]*trace.Span{}
	for _, s := range r.Spans() {
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
