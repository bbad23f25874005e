package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

func TestLeavesAreKeptAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaves := newLeaves(t, newAuthority(t, "salesforce.com"))
		get := func() *tls.Certificate {
			c, err := leaves.Get("acme.my.salesforce.com")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := get()
		<-time.After(46 * time.Hour)
		if get() != first {
			t.Error("a leaf with a day of life left was replaced")
		}
		<-time.After(2 * time.Hour)
		second := get()
		if second == first {
			t.Error("a leaf is shown in its last day")
		}
		leaves.Activate(newAuthority(t, "salesforce.com"))
		if get() == second {
			t.Error("a leaf of the old CA is shown after the switch")
		}
	})
}

func TestLeavesOfOneHostAreMintedOnce(t *testing.T) {
	leaves := newLeaves(t, newAuthority(t, "salesforce.com"))
	var wg sync.WaitGroup
	got := make([]*tls.Certificate, 16)
	for i := range got {
		wg.Go(func() { got[i], _ = leaves.Get("acme.my.salesforce.com") })
	}
	wg.Wait()
	for _, c := range got {
		if c == nil || c.Leaf.SerialNumber.Cmp(got[0].Leaf.SerialNumber) != 0 {
			t.Fatal("more than one leaf was minted")
		}
	}
}

func TestAnAuthorityThatEndedSignsNothing(t *testing.T) {
	a, err := proxy.NewAuthority([]string{"salesforce.com"}, time.Now().AddDate(-11, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newLeaves(t, a).Get("acme.my.salesforce.com"); err == nil {
		t.Error("a leaf was signed")
	}
}

// handshake completes TLS as name with a connection whose CONNECT named host.
func handshake(t *testing.T, l proxy.Leaves, config *tls.Config, name, host string) (resumed bool, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { // Ends with its one connection.
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		s := l.Server(c, host)
		if s.Handshake() == nil {
			s.Write([]byte("x"))
		}
	})
	config = config.Clone()
	config.ServerName = name
	c, err := tls.Dial("tcp", ln.Addr().String(), config)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil { // The ticket comes first.
		return false, err
	}
	return c.ConnectionState().DidResume, nil
}

// anyName keeps one session whatever the name, as a client with one ticket for all does.
type anyName struct{ tls.ClientSessionCache }

func (a anyName) Get(string) (*tls.ClientSessionState, bool) { return a.ClientSessionCache.Get("") }
func (a anyName) Put(_ string, s *tls.ClientSessionState)    { a.ClientSessionCache.Put("", s) }

func TestHandshakes(t *testing.T) {
	const acme, other = "acme.my.salesforce.com", "other.my.salesforce.com"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a := newAuthority(t, "salesforce.com")
			leaves := newLeaves(t, a)
			roots := x509.NewCertPool()
			roots.AddCert(a.Root())
			config := &tls.Config{
				RootCAs: roots, MinVersion: version, MaxVersion: version,
				ClientSessionCache: anyName{tls.NewLRUClientSessionCache(1)},
			}
			steps := []struct {
				name, as, host string
				resumed        bool
				refused        bool
			}{
				{"a first connection is a full handshake", acme, acme, false, false},
				{"a second one resumes", acme, acme, true, false},
				{"another name than the CONNECT's ends the handshake", other, acme, false, true},
				{"a ticket doesn't cross to a connection whose CONNECT named another host", acme, other, false, true},
			}
			for _, s := range steps {
				resumed, err := handshake(t, leaves, config, s.as, s.host)
				if resumed != s.resumed || (err != nil) != s.refused {
					t.Errorf("%s: resumed %v, %v", s.name, resumed, err)
				}
				if s.refused && !strings.HasSuffix(err.Error(), "tls: unrecognized name") {
					t.Errorf("%s: got %v, want the alert unrecognized_name", s.name, err)
				}
			}
			_, _ = handshake(t, leaves, config, acme, acme) // The client forgot its ticket when the last handshake failed.
			if resumed, err := handshake(t, leaves, config, acme, acme); err != nil || !resumed {
				t.Errorf("afterwards: resumed %v, %v", resumed, err)
			}
			next := newAuthority(t, "salesforce.com")
			roots.AddCert(next.Root())
			leaves.Activate(next)
			if resumed, err := handshake(t, leaves, config, acme, acme); err != nil || resumed {
				t.Errorf("after the CA was switched: resumed %v, %v", resumed, err)
			}
		})
	}
}
