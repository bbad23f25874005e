package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// maxConnectHead bounds a proxy's answer to CONNECT, in bytes.
const maxConnectHead = 16 << 10

// upstreamProxy is an HTTP proxy that connections are made through, by CONNECT (RFC 9110, section 9.3.6).
type upstreamProxy struct {
	name          string // For errors.
	host, address string
	authorization secret.Text
	tls           *tls.Config // nil: the proxy is spoken to in clear.
}

func newUpstreamProxy(u *url.URL, roots *x509.CertPool) *upstreamProxy {
	p := &upstreamProxy{name: redactedURL(u), host: u.Hostname()}
	port := u.Port()
	if u.Scheme == "https" {
		p.tls = newTLSConfig(roots)
	}
	switch {
	case port != "":
	case p.tls != nil:
		port = "443"
	default:
		port = "80"
	}
	p.address = net.JoinHostPort(p.host, port)
	if u.User != nil {
		password, _ := u.User.Password()
		p.authorization = secret.NewText("Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	return p
}

// tunnel asks the proxy at the other end of conn for a tunnel to target. It closes conn when it fails.
func (p *upstreamProxy) tunnel(ctx context.Context, conn net.Conn, target string, limit time.Duration) (net.Conn, error) {
	if p.tls != nil {
		tc, err := handshake(ctx, conn, p.tls, p.host, p.address, limit)
		if err != nil {
			return nil, err
		}
		conn = tc
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The function runs in a goroutine of its own, which ends at once: it interrupts a blocked read or write.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := p.ask(conn, target)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *upstreamProxy) ask(conn net.Conn, target string) error {
	var head strings.Builder
	head.WriteString("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n")
	if !p.authorization.IsZero() {
		head.WriteString("Proxy-Authorization: " + p.authorization.Reveal() + "\r\n")
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		return err
	}
	answer, err := readHead(conn)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return &ProxyError{Proxy: p.name} // The parser's error quotes the answer.
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return &ProxyError{Proxy: p.name, Status: resp.StatusCode}
	}
	return nil
}

// readHead reads up to the blank line and not one byte further: what follows belongs to the tunnel.
func readHead(conn net.Conn) ([]byte, error) {
	head := make([]byte, 0, 512)
	var b [1]byte
	for len(head) < maxConnectHead {
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return nil, err
		}
		head = append(head, b[0])
		if bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			break
		}
	}
	return head, nil
}
