package sfsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Transport returns a RoundTripper that calls the simulator without a network,
// as coming from the address source ("203.0.113.7:1"). It works under
// testing/synctest. As with a real server, a handler goes on when its caller's
// context has ended; a broken connection is io.ErrUnexpectedEOF.
func (s *Sim) Transport(source string) http.RoundTripper { return direct{s, source} }

type direct struct {
	sim    *Sim
	source string
}

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := r.Clone(ctx)
	in.RemoteAddr, in.RequestURI = d.source, r.URL.RequestURI()
	announce(in)
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: pw, trailer: http.Header{}, begun: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = pr.CloseWithError(ctx.Err()) }) // CloseWithError never fails
	go func() {                                                                 // ends with the handler
		defer func() {
			stop()
			_ = in.Body.Close()
			w.end(recover())
		}()
		d.sim.ServeHTTP(w, in)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.begun:
	}
	if w.failed != nil {
		return nil, w.failed
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: in.Proto, ProtoMajor: in.ProtoMajor, ProtoMinor: in.ProtoMinor,
		Header: w.sent, Trailer: w.trailer, Body: pr, ContentLength: -1, Request: r,
	}, nil
}

// announce does what the wire would: it names the length of a body that has
// one, and gRPC comes by HTTP/2.
func announce(in *http.Request) {
	sends := in.Method == http.MethodPost || in.Method == http.MethodPut || in.Method == http.MethodPatch
	if in.ContentLength > 0 || sends && in.ContentLength == 0 && (in.Body == nil || in.Body == http.NoBody) {
		in.Header.Set("Content-Length", strconv.FormatInt(max(0, in.ContentLength), 10))
	}
	if strings.HasPrefix(in.Header.Get("Content-Type"), "application/grpc") {
		in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	}
}

// pipeWriter is the ResponseWriter of one direct call; only the handler's
// goroutine writes to it.
type pipeWriter struct {
	header  http.Header
	body    *io.PipeWriter
	trailer http.Header // filled before the body ends
	once    sync.Once
	begun   chan struct{} // closed when status, sent and failed are set
	status  int
	sent    http.Header
	failed  error
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, maps.Clone(w.header)
		close(w.begun)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if len(p) == 0 {
		return 0, nil
	}
	return w.body.Write(p)
}

func (w *pipeWriter) FlushError() error { return nil }

// end closes the answer after the handler returned or panicked.
func (w *pipeWriter) end(panicked any) {
	if panicked == nil {
		w.WriteHeader(http.StatusOK)
		for name, values := range w.header {
			if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
				w.trailer[http.CanonicalHeaderKey(name)] = values
			}
		}
		_ = w.body.Close() // never fails
		return
	}
	err, _ := panicked.(error)
	if !errors.Is(err, http.ErrAbortHandler) {
		panic(panicked)
	}
	w.once.Do(func() {
		w.failed = io.ErrUnexpectedEOF
		close(w.begun)
	})
	_ = w.body.CloseWithError(io.ErrUnexpectedEOF) // never fails
}
