//go:build live

package deploy_test

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/otlptest"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// race has five callers race for one exchange, one lose its answer, one be
// refused, and twenty be served from memory; then serve ends, which flushes its
// spans.
func race(t *testing.T, l *lab.Lab) {
	t.Helper()
	c := l.NewClient()
	release := make(chan struct{})
	l.Sim.Inject(sfsim.Hold(release))
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { call(t, l, c, "acme", http.StatusOK) })
	}
	close(release)
	wg.Wait()
	for range 20 {
		call(t, l, c, "acme", http.StatusOK)
	}
	l.Sim.Inject(sfsim.LoseAnswer())
	if _, _, err := l.AdminCall(t.Context(), http.MethodPost, "/v1/orgs/acme/refresh?wait=10s", nil); err != nil {
		t.Fatal(err)
	}
	l.Sim.Inject(sfsim.OAuthError("invalid_grant", "expired access/refresh token"))
	call(t, l, c, "globex", http.StatusBadGateway)
	if err := l.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestSamplingKeepsEveryRace judges recorded traces by the policies of the
// Collector's configuration: all of the race is kept, and of the calls that
// nothing happened to only the share.
func TestSamplingKeepsEveryRace(t *testing.T) {
	rec := otlptest.Start(t)
	l := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+rec.Addr(), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRICS_EXPORTER=none",
		"SALLYPORT_EXCHANGE_TIMEOUT=2s", "SALLYPORT_TAKEOVER_AFTER=4s")
	race(t, l)
	c := loadCollector(t)
	kinds := map[string]int{}
	for _, spans := range traces(rec) {
		k, by := kind(spans), c.kept(t, spans)
		kinds[k]++
		switch {
		case k == "plain call" && len(by) > 0:
			t.Errorf("a plain call is kept by %v", by)
		case (k == "exchange" || k == "waiter") && len(by) == 0:
			t.Errorf("no policy keeps a trace of the kind %s: %v", k, spans)
		case k == "exchange" && !slices.Contains(by, "exchanges"):
			t.Errorf("an exchange is kept by %v alone", by)
		}
	}
	if kinds["exchange"] < 3 || kinds["waiter"] < 1 || kinds["plain call"] < 20 {
		t.Errorf("the run told %v", kinds)
	}
}

// equalsName is the one form of OTTL that the policies use.
var equalsName = regexp.MustCompile(`^(?:span|spanevent)\.name == "([^"]+)"$`)

// holds reports whether p, which is no share, keeps a trace of these spans.
func (p policy) holds(t *testing.T, spans []*trace.Span) bool {
	t.Helper()
	named := func(conditions []string, name string) bool {
		return slices.ContainsFunc(conditions, func(c string) bool {
			m := equalsName.FindStringSubmatch(c)
			if m == nil {
				t.Fatalf("policy %s has a condition that this test can't judge: %s", p.Name, c)
			}
			return m[1] == name
		})
	}
	var first, last uint64
	for _, s := range spans {
		switch p.Type {
		case "string_attribute":
			for _, kv := range s.GetAttributes() {
				is := func(want string) bool {
					v := kv.GetValue().GetStringValue()
					return v == want || p.String.Regex && regexp.MustCompile(want).MatchString(v)
				}
				if kv.GetKey() == p.String.Key && slices.ContainsFunc(p.String.Values, is) {
					return true
				}
			}
		case "ottl_condition":
			if named(p.OTTL.Span, s.GetName()) {
				return true
			}
			for _, e := range s.GetEvents() {
				if named(p.OTTL.Event, e.GetName()) {
					return true
				}
			}
		case "status_code":
			if slices.Contains(p.Status.Codes, "ERROR") && s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR {
				return true
			}
		case "latency":
			if first == 0 || s.GetStartTimeUnixNano() < first {
				first = s.GetStartTimeUnixNano()
			}
			if last = max(last, s.GetEndTimeUnixNano()); last > first && int64(last-first) > p.Latency.Threshold*1e6 {
				return true
			}
		default:
			t.Fatalf("policy %s is of type %s, which this test can't judge", p.Name, p.Type)
		}
	}
	return false
}

// kept are the names of the policies, but the share, that keep a trace.
func (c collector) kept(t *testing.T, spans []*trace.Span) (by []string) {
	t.Helper()
	for _, p := range c.Processors.TailSampling.Policies {
		if p.Type != "probabilistic" && p.holds(t, spans) {
			by = append(by, p.Name)
		}
	}
	return by
}
