package telemetry_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/telemetry"
)

func TestMetricsAreServedWithoutAnyExporter(t *testing.T) {
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Version: "1", Replica: "r1", Env: func(string) string { return "" }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := tel.Meter.Int64Counter("sallyport.token.exchanges")
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t.Context(), 3)
	rec := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(rec.Body.String(), "sallyport_token_exchanges_total{") {
		t.Errorf("the counter isn't there:\n%s", rec.Body)
	}
	_, span := tel.Tracer.Start(t.Context(), "x")
	if span.IsRecording() {
		t.Error("a span is recorded though no exporter is configured")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnUnknownExporterIsRefused(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
	_, err := telemetry.Start(t.Context(), telemetry.Options{Env: func(k string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "carrier-pigeon"}[k]
	}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_EXPORTER") {
		t.Errorf("got %v, want an error that names the variable", err)
	}
}

func TestLogLinesNameTheirTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(telemetry.NewLogHandler(&out, true, slog.LevelInfo)).With("a", 1).WithGroup("g")
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), sc), "hello")
	if !strings.Contains(out.String(), sc.TraceID().String()) {
		t.Errorf("no trace id in %s", out.String())
	}
}

func TestBatchWriterLosesNothingAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out counting
		b := telemetry.NewBatchWriter(&out, 100*time.Millisecond)
		for range 1000 {
			if _, err := b.Write([]byte("line\n")); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(150 * time.Millisecond)
		synctest.Wait()
		if out.lines() != 1000 || out.writes() != 1 {
			t.Errorf("%d lines in %d writes, want 1000 in 1", out.lines(), out.writes())
		}
		big := bytes.Repeat([]byte("x"), 5<<20)
		if _, err := b.Write(big); err != nil {
			t.Fatal(err)
		}
		if b.Dropped() != 1 {
			t.Errorf("dropped %d, want the one line beyond the bound", b.Dropped())
		}
		if _, err := b.Write([]byte("last\n")); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if out.lines() != 1001 {
			t.Errorf("%d lines after Close, want the last one too", out.lines())
		}
	})
}

type counting struct {
	mu  sync.Mutex
	n   int          // guarded by mu
	buf bytes.Buffer // guarded by mu
}

func (c *counting) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.buf.Write(p)
}

func (c *counting) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counting) lines() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Count(c.buf.Bytes(), []byte("\n"))
}
