package egress_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
)

// HTTP/2 has ways of its own to send a request again (GOAWAY, REFUSED_STREAM).
func TestFailure12ATokenRequestNeverSpeaksHTTP2(t *testing.T) {
	c := dial(t, serve(t, nil)) // which would rather speak h2
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("ALPN chose %q", p)
	}
}

func TestFailure32NothingLeavesFromAnAddressThatIsNotTheOrgs(t *testing.T) {
	s := serve(t, nil)
	e := newEgress(t, egress.Options{SourceAddresses: addrs("127.0.0.2"), Allow: loopback, Roots: s.roots})
	for _, from := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1")} {
		_, err := e.DialTLS(t.Context(), from, "127.0.0.1", s.port)
		wantAs[*egress.SourceError](t, err)
	}
	if got := s.peerHosts(); len(got) != 0 {
		t.Errorf("the server saw %v", got)
	}
	c, err := e.DialTLS(t.Context(), netip.MustParseAddr("127.0.0.2"), "127.0.0.1", s.port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := s.peerHosts(); len(got) != 1 || got[0] != "127.0.0.2" {
		t.Errorf("the server saw %v", got)
	}
}

// Whoever closes drops what was not delivered: the peer sees a reset, and not
// the rest of a request.
func TestFailure54WhatWasGivenUpIsNotDeliveredLater(t *testing.T) {
	s := serve(t, nil)
	accepted := make(chan net.Conn, 1)
	port := listenTLS(t, s, accepted)
	e := newEgress(t, egress.Options{Allow: loopback, Roots: s.roots})
	c, err := e.DialTLS(t.Context(), netip.Addr{}, "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	peer := <-accepted
	defer peer.Close()
	if _, err := c.Write([]byte("a request")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer sees %v, want a reset", err)
	}
}

// What a connection knows of its writes decides whether a token may be spent.
func TestFailure08AWriteThatMayHaveLeftCountsAsSent(t *testing.T) {
	if !egress.SentAfter(fakeConn{err: errors.New("strange")}, []byte("x")) {
		t.Error("an error that proves nothing was taken for proof")
	}
	if !egress.SentAfter(fakeConn{n: 1, err: syscall.EPIPE}, []byte("x")) {
		t.Error("a short write was taken for none")
	}
	if egress.SentAfter(fakeConn{err: syscall.EPIPE}, []byte("x")) {
		t.Error("a write of which nothing was taken counts")
	}
}
