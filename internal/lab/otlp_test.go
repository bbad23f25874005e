package lab_test

import (
	"slices"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

func named(spans []*trace.Span, name string) (out []*trace.Span) {
	for _, s := range spans {
		if s.GetName() == name {
			out = append(out, s)
		}
	}
	return out
}

// children are the names of the spans below parent.
func children(spans []*trace.Span, parent *trace.Span) (out []string) {
	for _, s := range spans {
		if string(s.GetParentSpanId()) == string(parent.GetSpanId()) {
			out = append(out, s.GetName())
		}
	}
	slices.Sort(out)
	return out
}

func attribute(s *trace.Span, key string) string {
	for _, kv := range s.GetAttributes() {
		if kv.GetKey() == key {
			return kv.GetValue().GetStringValue()
		}
	}
	return ""
}

// linksTo reports whether s links to the span with this id.
func linksTo(s *trace.Span, id []byte) bool {
	return slices.ContainsFunc(s.GetLinks(), func(k *trace.Span_Link) bool { return string(k.GetSpanId()) == string(id) })
}
