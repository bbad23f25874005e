package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// keepAlive finds a peer that is gone within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// onSocket is given a TCP connection before anything is written to it, and returns what to use in its place.
type onSocket func(*net.TCPConn) (net.Conn, error)

func plainSocket(c *net.TCPConn) (net.Conn, error) { return c, nil }

// DialTunnel connects to hostport for a passthrough tunnel, guarded, from a source that [Egress.TunnelSource] or
// [Egress.Source] gave. It fails with an [AddressNotAllowedError], a [SourceError] or an [UnreachableError].
func (e *Egress) DialTunnel(ctx context.Context, source netip.Addr, hostport string) (net.Conn, error) {
	if err := checkSource(e.tunnels, source); err != nil {
		if err := checkSource(e.sources, source); err != nil {
			return nil, err
		}
	}
	host, port, err := splitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	return e.connect(ctx, source, host, port, plainSocket)
}

// connect returns a stream to host and port, by way of the upstream proxy if there is one. host is canonical.
func (e *Egress) connect(ctx context.Context, source netip.Addr, host string, port uint16, wrap onSocket) (net.Conn, error) {
	target := joinHostPort(host, port)
	mapped, isMapped := e.resolve[target]
	if e.proxy != nil {
		via := target
		if isMapped {
			via = mapped.String()
		} else if err := judgeName(host); err != nil {
			return nil, err
		}
		conn, err := e.dialTCP(ctx, source, e.proxy.address, nil, wrap)
		if err == nil {
			conn, err = e.proxy.tunnel(ctx, conn, via, e.opts.HandshakeTimeout)
		}
		return conn, asUnreachable(err, target, StageProxy)
	}
	if isMapped {
		conn, err := e.dialTCP(ctx, source, mapped.String(), nil, wrap)
		return conn, asUnreachable(err, target, StageConnect)
	}
	guarded := func(network, address string) error { return e.guard.control(host, network, address) }
	conn, err := e.dialTCP(ctx, source, target, guarded, wrap)
	return conn, asUnreachable(err, target, StageConnect)
}

// dialTCP connects to address from source; judge, if any, sees each address before it is connected to.
func (e *Egress) dialTCP(ctx context.Context, source netip.Addr, address string, judge func(network, address string) error, wrap onSocket) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         e.opts.DialTimeout,
		KeepAliveConfig: keepAlive,
		Resolver:        e.opts.Resolver,
		Control: func(network, address string, c syscall.RawConn) error {
			if judge != nil {
				if err := judge(network, address); err != nil {
					return err
				}
			}
			if source.IsValid() {
				lateBindPort(c)
			}
			return nil
		},
	}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		if refused, ok := errors.AsType[*AddressNotAllowedError](err); ok {
			return nil, refused
		}
		// "connect" gives the same error number when the ports are used up, which passes.
		if sys, ok := errors.AsType[*os.SyscallError](err); ok && sys.Syscall == "bind" {
			return nil, &SourceError{Addr: source, Reason: "the machine refuses it (" + sys.Err.Error() + "); is it assigned to an interface?"}
		}
		return nil, err
	}
	wrapped, err := wrap(conn.(*net.TCPConn))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return wrapped, nil
}

// asUnreachable leaves nil and typed errors alone.
func asUnreachable(err error, target, stage string) error {
	if err == nil || NotSent(err) {
		return err
	}
	return &UnreachableError{Host: target, Stage: stage, Err: err}
}

// newTLSConfig returns the configuration of one source address, with session tickets of its own.
func newTLSConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{protoHTTP1},
		ClientSessionCache: tls.NewLRUClientSessionCache(1024),
	}
}

// handshake does TLS as host over conn, which it closes when it fails.
func handshake(ctx context.Context, conn net.Conn, base *tls.Config, host, target string, limit time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cfg := base.Clone()
	cfg.ServerName = host
	tc := tls.Client(conn, cfg)
	err := tc.HandshakeContext(ctx)
	if err == nil {
		return tc, nil
	}
	conn.Close()
	if isNetwork(err) {
		return nil, &UnreachableError{Host: target, Stage: StageHandshake, Err: err}
	}
	return nil, &TLSError{Host: target, Err: err}
}
