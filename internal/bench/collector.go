package main

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// requestSpan is the span that sallyport makes for every request.
const requestSpan = "proxy.request"

// collector is a running role "collector": an OTLP receiver that counts.
type collector struct {
	*child
	addr string
}

func startCollector(ctx context.Context, core int) (*collector, error) {
	c, err := startIdle(ctx, core, "collector")
	if err != nil {
		return nil, err
	}
	var r ready
	if err := c.hear(&r); err != nil {
		c.stop()
		return nil, err
	}
	return &collector{child: c, addr: r.Addr}, nil
}

// spans is how many request spans arrived so far.
func (c *collector) spans() (n int64, err error) {
	if err := c.tell("spans"); err != nil {
		return 0, err
	}
	return n, c.hear(&n)
}

// playCollector is the role "collector": every order is answered with the
// number of request spans so far.
func playCollector(in *json.Decoder, out *json.Encoder) error {
	var seen atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(r.Body); err != nil {
				http.Error(w, "not gzip", http.StatusBadRequest)
				return
			}
		}
		p, err := io.ReadAll(body)
		if err != nil {
			return
		}
		seen.Add(countSpans(p, 3))
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	go func() { _ = s.Serve(l) }() // ends with the process
	if err := out.Encode(ready{Addr: l.Addr().String()}); err != nil {
		return err
	}
	return eachOrder(in, func() error { return out.Encode(seen.Load()) })
}

// countSpans walks an ExportTraceServiceRequest: resource_spans = 1, in it
// scope_spans = 2, in it spans = 2, whose name = 5. depth is how many messages
// are still to be entered.
func countSpans(p []byte, depth int) (n int64) {
	want := map[int]uint64{3: 1, 2: 2, 1: 2, 0: 5}[depth]
	for len(p) > 0 {
		tag, size := binary.Uvarint(p)
		if size <= 0 {
			return n
		}
		p = p[size:]
		var skip uint64
		switch tag & 7 {
		case 0:
			_, size := binary.Uvarint(p)
			skip = uint64(max(size, 0))
		case 1:
			skip = 8
		case 5:
			skip = 4
		case 2:
			length, size := binary.Uvarint(p)
			if size <= 0 || uint64(len(p)-size) < length {
				return n
			}
			p, skip = p[size:], length
			switch {
			case tag>>3 != want:
			case depth > 0:
				n += countSpans(p[:length], depth-1)
			case string(p[:length]) == requestSpan:
				n++
			}
		default:
			return n
		}
		if uint64(len(p)) < skip || skip == 0 && tag&7 == 0 {
			return n
		}
		p = p[skip:]
	}
	return n
}
