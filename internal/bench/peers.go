package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
)

// The arrangements that are compared.
const (
	direct         = "direct"
	blind          = "goproxy blind tunnel"
	goproxyDefault = "goproxy default"
	goproxyTuned   = "goproxy tuned"
	sallyport      = "sallyport"
	traced         = "sallyport, all traced"
)

// An arrangement is what stands between the client and the upstream.
type arrangement struct {
	name     string
	proxy    string // host:port; empty: none
	auth     string // Proxy-Authorization
	caFile   string // what the client trusts
	brings   bool   // the client brings the token, since nobody injects one
	pid      int    // 0: no process to measure
	stateDir string
	said     *tail
	stop     func()
}

// goproxyConfig is what the role "goproxy" is told.
type goproxyConfig struct {
	Kind       string
	Upstream   string // stands for every destination
	UpstreamCA string
	CA, CAKey  string
}

func (l *lab) startGoproxy(ctx context.Context, kind string) (*arrangement, error) {
	c, err := startRole(ctx, l.cores.proxy, "goproxy", goproxyConfig{
		Kind: kind, Upstream: l.upstreamAddr, UpstreamCA: l.upstreamCA.cert, CA: l.peerCA.cert, CAKey: l.peerCA.key,
	})
	if err != nil {
		return nil, err
	}
	var r ready
	if err := c.hear(&r); err != nil {
		c.stop()
		return nil, err
	}
	a := &arrangement{name: kind, proxy: r.Addr, caFile: l.peerCA.cert, pid: c.cmd.Process.Pid, said: c.said, stop: c.stop}
	if kind == blind {
		a.caFile, a.brings = l.upstreamCA.cert, true
	}
	return a, nil
}

// playGoproxy is the role "goproxy".
func playGoproxy(in *json.Decoder, out *json.Encoder) error {
	var c goproxyConfig
	if err := in.Decode(&c); err != nil {
		return err
	}
	p, err := newGoproxy(c)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // ends with the process
	if err := out.Encode(ready{Addr: l.Addr().String()}); err != nil {
		return err
	}
	return eachOrder(in, func() error { return errors.New("this role takes no orders") })
}

// newGoproxy is goproxy as its users run it. goproxyDefault has its own
// transport, which keeps two idle connections a host and mints a leaf for every
// connection; goproxyTuned keeps its connections and its leaves.
func newGoproxy(c goproxyConfig) (*goproxy.ProxyHttpServer, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, c.Upstream)
	}
	roots, err := pool(c.UpstreamCA)
	if err != nil {
		return nil, err
	}
	p := goproxy.NewProxyHttpServer()
	p.ConnectDial = func(network, _ string) (net.Conn, error) { return dial(context.Background(), network, "") }
	p.Tr.Proxy, p.Tr.DialContext = nil, dial
	p.Tr.TLSClientConfig = p.Tr.TLSClientConfig.Clone()
	p.Tr.TLSClientConfig.RootCAs = roots
	action := &goproxy.ConnectAction{Action: goproxy.ConnectAccept}
	if c.Kind != blind {
		ca, err := tls.LoadX509KeyPair(c.CA, c.CAKey)
		if err != nil {
			return nil, err
		}
		action = &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&ca)}
		p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
			r.Header.Set("Authorization", "Bearer "+bearer)
			return r, nil
		})
	}
	if c.Kind == goproxyTuned {
		p.CertStore = &leaves{kept: map[string]*tls.Certificate{}}
		p.AllowHTTP2 = true
		p.Tr = &http.Transport{
			DialContext:         dial,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
			MaxIdleConns:        1024,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     time.Minute,
		}
	}
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return action, host
	})
	return p, nil
}

// pool reads a PEM file of roots.
func pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(file + " holds no certificate")
	}
	return roots, nil
}

// leaves is goproxy's CertStorage on a map.
type leaves struct {
	mu   sync.Mutex // guards kept
	kept map[string]*tls.Certificate
}

// Fetch implements [goproxy.CertStorage].
func (s *leaves) Fetch(name string, gen func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.kept[name]; c != nil {
		return c, nil
	}
	c, err := gen()
	if err == nil {
		s.kept[name] = c
	}
	return c, err
}
