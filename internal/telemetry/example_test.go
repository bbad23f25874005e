package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sallyport/sallyport/internal/telemetry"
)

// Without an OTEL_* variable nothing is exported and no span is recorded.
// Prometheus is served all the same.
func ExampleStart() {
	ctx := context.Background()
	t, err := telemetry.Start(ctx, telemetry.Options{
		Version: "1.0.0", Replica: "r1", Env: func(string) string { return "" }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	exchanges, err := t.Meter.Int64Counter("sallyport.token.exchanges")
	if err != nil {
		fmt.Println(err)
		return
	}
	exchanges.Add(ctx, 3)
	_, span := t.Tracer.Start(ctx, "proxy.request")
	rec := httptest.NewRecorder()
	t.Metrics.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	fmt.Println(rec.Code, strings.Contains(rec.Body.String(), "sallyport_token_exchanges_total"), span.IsRecording())
	fmt.Println(t.Shutdown(ctx))
	// Output:
	// 200 true false
	// <nil>
}
