package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// stream is a caller on a shared HTTP/2 connection.
type stream struct {
	transport *http.Transport
	request   *http.Request
	want      int64
}

func (l load) http2Callers(config *tls.Config) []caller {
	made := make([]caller, l.Callers)
	var shared [4]*http.Transport
	for i := range shared {
		config := config.Clone()
		config.ServerName = ""
		shared[i] = &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}
		if l.Proxied {
			shared[i].Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: l.Target})
			shared[i].ProxyConnectHeader = http.Header{"Proxy-Authorization": {l.Auth}}
		}
	}
	for i := range made {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host, Path: l.Path}, Header: http.Header{"Accept": {"application/json"}}}
		if l.Bearer != "" {
			r.Header.Set("Authorization", "Bearer "+l.Bearer)
		}
		made[i] = &stream{transport: shared[i%len(shared)], request: r, want: sizeOf(l.Path)}
	}
	return made
}

func (s *stream) close() { s.transport.CloseIdleConnections() }

func (s *stream) do() (int64, bool, error) {
	r, err := s.transport.RoundTrip(s.request)
	if err != nil {
		return 0, false, err
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	if err == nil && (r.StatusCode != http.StatusOK || r.ProtoMajor != 2 || n != s.want) {
		err = fmt.Errorf("answered %s %s with %d bytes", r.Proto, r.Status, n)
	}
	return n, false, err
}
