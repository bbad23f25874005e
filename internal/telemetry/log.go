package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// NewLogHandler returns a handler that writes text or JSON to w, from level on,
// each line with the trace and span that it belongs to.
func NewLogHandler(w io.Writer, json bool, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if json {
		return traced{slog.NewJSONHandler(w, o)}
	}
	return traced{slog.NewTextHandler(w, o)}
}

type traced struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h traced) WithAttrs(a []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(a)} }

// WithGroup implements [slog.Handler].
func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }

// maxBatch bounds what a [BatchWriter] keeps, in bytes.
const maxBatch = 4 << 20

// BatchWriter gathers the lines of an access log and writes them in batches
// from one goroutine, since a write for each request would cost as much as the
// request. It never blocks: lines beyond its bound are dropped and counted. It
// is safe for concurrent use.
type BatchWriter struct {
	w       io.Writer
	dropped atomic.Int64

	mu   sync.Mutex
	buf  bytes.Buffer // guarded by mu
	stop chan struct{}
	done chan struct{}
}

// NewBatchWriter starts a writer that writes to w every interval, until Close.
func NewBatchWriter(w io.Writer, interval time.Duration) *BatchWriter {
	b := &BatchWriter{w: w, stop: make(chan struct{}), done: make(chan struct{})}
	go b.run(interval) // ends with Close
	return b
}

// Write takes p over and returns at once.
func (b *BatchWriter) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len()+len(p) > maxBatch {
		b.dropped.Add(1)
		return len(p), nil
	}
	return b.buf.Write(p)
}

// Dropped is how many lines were dropped so far.
func (b *BatchWriter) Dropped() int64 { return b.dropped.Load() }

// Close writes what is left and ends the goroutine.
func (b *BatchWriter) Close() error {
	close(b.stop)
	<-b.done
	return nil
}

func (b *BatchWriter) run(interval time.Duration) {
	defer close(b.done)
	t := time.NewTicker(interval)
	defer t.Stop()
	var out bytes.Buffer
	for last := false; !last; {
		select {
		case <-t.C:
		case <-b.stop:
			last = true
		}
		b.mu.Lock()
		b.buf, out = out, b.buf
		b.mu.Unlock()
		if out.Len() > 0 {
			// A log that can't be written has nowhere to say so.
			_, _ = b.w.Write(out.Bytes())
		}
		out.Reset()
	}
}
