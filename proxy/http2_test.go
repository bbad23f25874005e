package proxy_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sallyport/sallyport/proxy/access"
)

// frames speaks HTTP/2 by hand inside a tunnel.
type frames struct {
	*http2.Framer
	t *testing.T
}

func (e *env) frames(t *testing.T, settings ...http2.Setting) *frames {
	t.Helper()
	return e.framesTo(t, acme+":443", settings...)
}

func (e *env) framesTo(t *testing.T, target string, settings ...http2.Setting) *frames {
	t.Helper()
	host, _, _ := strings.Cut(target, ":")
	c := tls.Client(e.connect(target), &tls.Config{RootCAs: e.roots, ServerName: host, NextProtos: []string{"h2"}})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	f := &frames{http2.NewFramer(c, c), t}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask begins a request with the pseudo-headers in fields, and more behind them.
func (f *frames) ask(end bool, fields ...string) {
	f.t.Helper()
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Bytes(), EndStream: end, EndHeaders: true}); err != nil {
		f.t.Fatal(err)
	}
}

// hear returns the next frame of the stream that is a head or its end.
func (f *frames) hear() http2.Frame {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
			return frame
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		}
	}
}

func TestHTTP2RequestsThatNoClientShouldSend(t *testing.T) {
	e := start(t, echo)
	for _, tt := range []struct {
		name, method, scheme, status string
		code                         access.Code
	}{
		{"a scheme that isn't the tunnel's", "GET", "http", "421", access.Misdirected},
		{"a method with a space", "GET /x", "https", "400", access.BadRequest},
		{"a method with a colon", "GET:", "https", "400", access.BadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := e.frames(t)
			f.ask(true, ":method", tt.method, ":scheme", tt.scheme, ":authority", acme, ":path", data)
			head, ok := f.hear().(*http2.MetaHeadersFrame)
			if !ok {
				t.Fatal("no answer")
			}
			code := ""
			for _, h := range head.RegularFields() {
				if h.Name == "sallyport-error" {
					code = h.Value
				}
			}
			if head.PseudoValue("status") != tt.status || code != string(tt.code) {
				t.Errorf("%s %s", head.PseudoValue("status"), code)
			}
		})
	}
}
