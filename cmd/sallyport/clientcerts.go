package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// clientCerts asks callers of the https:// listeners for certificates and
// verifies those that are shown, in a handshake that resumes a session too. Who
// shows none is let through, to show a secret. It is safe for concurrent use.
type clientCerts struct {
	caFile   string
	crlFiles []string
	log      *slog.Logger
	telling  *rate.Limiter // of lines about refused certificates: a client may try again and again
	current  atomic.Pointer[trust]

	// mu guards open, and closed of each connection.
	mu   sync.Mutex
	open map[*certConn][][]*x509.Certificate // verified chains of the connections with a certificate
}

// loadClientCerts reads the files. It fails when one of them can't be read or
// isn't what it should be. An outdated list is no failure: its authority's
// certificates are refused.
func loadClientCerts(caFile string, crlFiles []string, log *slog.Logger) (*clientCerts, error) {
	c := &clientCerts{caFile: caFile, crlFiles: crlFiles, log: log, telling: rate.NewLimiter(rate.Every(time.Second), 20),
		open: map[*certConn][][]*x509.Certificate{}}
	if err := c.reload(); err != nil {
		return nil, &configError{err}
	}
	return c, nil
}

// reload takes what the files hold now, or fails and leaves all as it was. It
// ends connections whose certificate is revoked, or whose authority is gone. A
// list that is outdated or missing by now ends none: who is in was good when
// last seen.
func (c *clientCerts) reload() error {
	t, err := readTrust(c.caFile, c.crlFiles)
	if err != nil {
		return err
	}
	c.current.Store(t)
	for _, what := range t.amiss(time.Now()) {
		c.log.Error("certificates of clients are refused", "why", what)
	}
	c.cut(t)
	return nil
}

// amiss tells what keeps certificates from being accepted now; nothing without
// client certificates.
func (c *clientCerts) amiss(now time.Time) []string {
	if c == nil {
		return nil
	}
	return c.current.Load().amiss(now)
}

// listener speaks TLS on n, by base and what the files hold when a client comes.
// Session tickets outlive a reload: what is in one is verified again.
func (c *clientCerts) listener(n net.Listener, base *tls.Config) net.Listener {
	front := base.Clone() // has the keys of the tickets
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		t := c.current.Load()
		conn, ok := hello.Conn.(*certConn)
		if !ok {
			return nil, errors.New("a connection that certListener hasn't made")
		}
		own := base.Clone()
		own.ClientAuth, own.ClientCAs = tls.VerifyClientCertIfGiven, t.pool
		own.VerifyConnection = func(cs tls.ConnectionState) error { return c.admit(conn, t, cs) }
		return own, nil
	}
	return tls.NewListener(&certListener{n, c}, front)
}

// admit judges the certificate of a connection whose handshake began by asked.
// crypto/tls calls it in every handshake. In a full one it has verified the
// chains already. In one that resumes it has looked only whether a chain that
// was verified back then has ended or has lost its root: here it is built anew.
func (c *clientCerts) admit(conn *certConn, asked *trust, cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	chains := cs.VerifiedChains
	c.keep(conn, chains) // first, so that a reload from here on finds it
	t, now := c.current.Load(), time.Now()
	var err error
	if cs.DidResume || t != asked {
		chains, err = t.verify(cs.PeerCertificates, now)
		c.keep(conn, chains)
	}
	if err == nil {
		err = t.check(chains, now)
	}
	if err != nil {
		c.tell("its handshake was refused", conn, cs.PeerCertificates[0], err)
		return fmt.Errorf("the client's certificate: %w", err)
	}
	return nil
}

func (c *clientCerts) tell(what string, conn *certConn, leaf *x509.Certificate, err error) {
	if c.telling.Allow() {
		c.log.Warn("a client's certificate isn't good", "what", what, "peer", conn.RemoteAddr().String(), "subject", leaf.Subject.String(), "names", strings.Join(leaf.DNSNames, " "),
			"serial", leaf.SerialNumber.Text(16), "error", err)
	}
}

// cut ends the connections that t, just taken, doesn't let stand.
func (c *clientCerts) cut(t *trust) {
	type victim struct {
		conn *certConn
		leaf *x509.Certificate
		why  error
	}
	var victims []victim
	c.mu.Lock()
	for conn, chains := range c.open {
		if err := t.stands(chains); err != nil {
			victims = append(victims, victim{conn, chains[0][0], err})
		}
	}
	c.mu.Unlock()
	for _, v := range victims {
		c.tell("its connection was ended", v.conn, v.leaf, v.why)
		_ = v.conn.Close() // whoever reads it is told
	}
}

func (c *clientCerts) keep(conn *certConn, chains [][]*x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !conn.closed && len(chains) > 0 {
		c.open[conn] = chains
	}
}

func (c *clientCerts) forget(conn *certConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.closed = true
	delete(c.open, conn)
}

// certListener hands out connections that clientCerts can forget.
type certListener struct {
	net.Listener
	certs *clientCerts
}

// Accept implements net.Listener.
func (l *certListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &certConn{Conn: c, certs: l.certs}, nil
}

// certConn is the connection below TLS.
type certConn struct {
	net.Conn
	certs  *clientCerts
	closed bool
}

// Close implements net.Conn.
func (c *certConn) Close() error {
	err := c.Conn.Close()
	c.certs.forget(c)
	return err
}

// warnUnasked tells of clients whose certificates nobody asks for.
func (a *app) warnUnasked() {
	if a.c.TLSClientCA != "" {
		return
	}
	var names []string
	for _, c := range a.reg.Snapshot().Clients() {
		if len(c.Certificates) > 0 && !c.Disabled {
			names = append(names, c.Name)
		}
	}
	if len(names) > 0 {
		a.log.Warn("the certificates of clients count for nothing: set SALLYPORT_TLS_CLIENT_CA, so that an https:// listener asks for them", "clients", names)
	}
}
