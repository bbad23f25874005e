package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	leafLife = 72 * time.Hour
	// leafRenew is the life left at which a cached leaf is replaced, so that no client meets one that is about to end.
	leafRenew      = 24 * time.Hour
	leafCacheSize  = 1024
	ticketNamePart = "sallyport leaf "
)

// leaves makes and keeps the certificates that intercepted connections show, and the one TLS configuration that all
// of them share, so that session tickets work from one connection to the next. It is safe for concurrent use.
type leaves struct {
	active atomic.Pointer[Authority]
	key    *ecdsa.PrivateKey // Shared by all leaves: making one costs more than signing with it.
	cache  *lru.Cache[string, *tls.Certificate]
	flight singleflight.Group
	config *tls.Config // Never changed after newLeaves.
	refuse *tls.Config // Ends a handshake for another name than the CONNECT's with unrecognized_name.
}

func newLeaves(a *Authority) (*leaves, error) {
	if a == nil {
		return nil, errors.New("an Authority is needed to sign leaves")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the leaves: %w", err)
	}
	cache, err := lru.New[string, *tls.Certificate](leafCacheSize)
	if err != nil {
		return nil, err
	}
	l := &leaves{key: key, cache: cache}
	l.active.Store(a)
	l.config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: l.configFor,
		GetCertificate:     l.certificateFor,
		WrapSession:        l.wrapSession,
		UnwrapSession:      l.unwrapSession,
		// Else what a young connection writes is cut into many small records, each with a system call of its own.
		DynamicRecordSizingDisabled: true,
	}
	l.refuse = &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		// No certificate and no error make crypto/tls send unrecognized_name (RFC 6066, section 3).
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
	}
	return l, nil
}

// activate switches to a. Leaves and session tickets of the one before are no longer used.
func (l *leaves) activate(a *Authority) {
	l.active.Store(a)
	l.cache.Purge()
}

// named is a connection that knows the host that its CONNECT named.
type named interface{ connectHost() string }

// configFor runs before a ticket is looked at, so that a resumed session too is for the name of the CONNECT.
func (l *leaves) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(named)
	if !ok || hello.ServerName != "" && !strings.EqualFold(hello.ServerName, c.connectHost()) {
		return l.refuse, nil
	}
	return nil, nil
}

func (l *leaves) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, ok := hello.Conn.(named)
	if !ok {
		return nil, nil
	}
	return l.get(hello.Context(), c.connectHost())
}

// get returns the leaf for host, minted when there is none or when it soon ends. Callers for one host share the
// minting.
func (l *leaves) get(ctx context.Context, host string) (*tls.Certificate, error) {
	a := l.active.Load()
	kept := func() (*tls.Certificate, bool) {
		c, ok := l.cache.Get(host)
		return c, ok && time.Until(c.Leaf.NotAfter) > leafRenew
	}
	if c, ok := kept(); ok {
		return c, nil
	}
	done := l.flight.DoChan(host, func() (any, error) {
		if c, ok := kept(); ok { // Another flight landed since.
			return c, nil
		}
		c, err := a.leaf(host, l.key, time.Now())
		if err == nil && l.active.Load() == a {
			l.cache.Add(host, c)
		}
		return c, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		c, _ := r.Val.(*tls.Certificate)
		return c, r.Err
	}
}

// leaf signs a certificate for host alone, for 72 hours.
func (a *Authority) leaf(host string, key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		// No common name: OpenSSL would judge it, too, by the name constraints.
		Subject:     pkix.Name{Organization: []string{"sallyport"}},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLife - backdate),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	if a.signer.NotAfter.Before(template.NotAfter) {
		template.NotAfter = a.signer.NotAfter
	}
	if !now.Before(a.signer.NotAfter) {
		return nil, fmt.Errorf("the interception CA ended on %s: make the next with `sallyport ca rotate`",
			a.signer.NotAfter.Format(time.DateOnly))
	}
	leaf, err := sign(template, a.signer, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range a.chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// ticketName is what a session ticket carries: the name that the session was made for, under the CA of the time.
func (l *leaves) ticketName(serverName string) string {
	return ticketNamePart + hex.EncodeToString(l.active.Load().signer.SerialNumber.Bytes()) + " " + serverName
}

func (l *leaves) wrapSession(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	ss.Extra = append(ss.Extra, []byte(l.ticketName(cs.ServerName)))
	return l.config.EncryptTicket(cs, ss)
}

// unwrapSession resumes only for the very name that the ticket was made for; for any other there is a full handshake.
func (l *leaves) unwrapSession(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	ss, err := l.config.DecryptTicket(identity, cs)
	if err != nil || ss == nil {
		return nil, err
	}
	name := l.ticketName(cs.ServerName)
	for _, extra := range ss.Extra {
		if cs.ServerName != "" && string(extra) == name {
			return ss, nil
		}
	}
	return nil, nil
}
