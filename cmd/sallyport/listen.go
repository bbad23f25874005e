package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/sallyport/sallyport/config"
)

// certificate is a key pair that is read again when its files change.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

func loadCertificate(certFile, keyFile, variable string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.reload(); err != nil {
		return nil, misconfigured("%s: %w", variable, err)
	}
	return c, nil
}

func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

// names are the DNS names that the certificate vouches for; none without one.
func (c *certificate) names() []string {
	if c == nil {
		return nil
	}
	return c.current.Load().Leaf.DNSNames
}

// server returns the TLS configuration of a listener that speaks HTTP/1.1 only.
func (c *certificate) server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// proxyListener is a listener and what callers of it may do.
type proxyListener struct {
	net.Listener
	local bool // a loopback address or a Unix socket
}

// listenAll opens every configured listener, or none.
func listenAll(c config.Config, cert *certificate, callers *clientCerts) ([]proxyListener, error) {
	var all []proxyListener
	for _, l := range c.Listen {
		n, err := listen(l, cert, callers)
		if err != nil {
			for _, o := range all {
				_ = o.Close() // nothing was served on it
			}
			return nil, fmt.Errorf("SALLYPORT_LISTEN: %s: %w", l, err)
		}
		all = append(all, proxyListener{n, l.Loopback()})
	}
	return all, nil
}

func listen(l config.Listener, cert *certificate, callers *clientCerts) (net.Listener, error) {
	switch l.Kind {
	case config.KindUnix:
		return listenUnix(l.Address)
	case config.KindTLS:
		n, err := net.Listen("tcp", l.Address)
		if err != nil {
			return nil, err
		}
		if callers != nil {
			return callers.listener(n, cert.server()), nil
		}
		return tls.NewListener(n, cert.server()), nil
	case config.KindPlain:
	}
	return net.Listen("tcp", l.Address)
}

// listenUnix opens a socket that only its owner can use. A socket that nobody
// listens on any more is replaced.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s exists and is no socket", path)
		}
		var d net.Dialer
		if c, err := d.DialContext(context.Background(), "unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("another process listens on %s", path), c.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}
