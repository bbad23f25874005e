package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/proxy"
)

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	e := start(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }, func(o *proxy.Options) {
		o.Tracer = provider.Tracer("sallyport")
	})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.server.CloseClient("nobody")
	do(t, e.client("billing", ""), "GET", "https://"+acme+data+"query?q=SELECT+Name", nil, "Traceparent", parent)
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "proxy.request" || ended[0].SpanKind() != trace.SpanKindServer {
		t.Fatalf("%v", ended)
	}
	// The listener is on loopback, so the caller's trace goes on.
	if got := ended[0].Parent().SpanID().String(); got != "b7ad6b7169203331" {
		t.Errorf("parent %s, links %v", got, ended[0].Links())
	}
	attrs := attribute.NewSet(ended[0].Attributes()...)
	for key, want := range map[attribute.Key]string{
		"http.request.method": "GET", "url.path": data + "query", "server.address": acme, "http.response.status_code": "200",
		"sallyport.org": "acme", "sallyport.client": "billing", "sallyport.generation": "1", "sallyport.attempts": "1", "sallyport.decision": "forwarded",
	} {
		if v, _ := attrs.Value(key); v.String() != want {
			t.Errorf("%s = %s, want %s", key, v.String(), want)
		}
	}
	if all := attrs.Encoded(attribute.DefaultEncoder()); strings.Contains(all, "SELECT") {
		t.Errorf("a query is in %s", all)
	}
}

func TestMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	e := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Sforce-Limit-Info", "api-usage=18/5000; per-app-api-usage=17/250(appName=x)")
		io.WriteString(w, "x")
	}, func(o *proxy.Options) {
		o.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("sallyport")
	})
	c := e.client("billing", "")
	for range 2 {
		do(t, c, "GET", "https://"+acme+data, nil)
	}
	do(t, c, "GET", "https://"+acme+"/secur/", nil)
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				got[m.Name] += float64(p.Count)
			}
		case metricdata.Gauge[int64]:
			got[m.Name] = float64(d.DataPoints[0].Value)
		}
	}
	for name, want := range map[string]float64{
		"http.server.request.duration": 3, "sallyport.proxy.overhead": 2,
		"sallyport.salesforce.api.usage": 18, "sallyport.salesforce.api.limit": 5000,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
}
