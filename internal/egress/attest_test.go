package egress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
)

// An echo is a server that answers what it is told to, or the caller's address.
func registered(t *testing.T, from, to string, answer func(w http.ResponseWriter, r *http.Request)) (*egress.Egress, *server) {
	t.Helper()
	s := serve(t, answer)
	url, resolve := s.named()
	return newEgress(t, egress.Options{Roots: s.roots, Resolve: resolve, Echo: []string{url + "/ip?key=of-no-worth"},
		Registered: []egress.Range{{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)}}}), s
}

func say(what string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, what) }
}

func TestATokenRequestLeavesOnlyByAVerifiedAddress(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answer   func(http.ResponseWriter, *http.Request)
		standing egress.Standing
	}{
		{"text", say("203.0.113.7\n"), egress.Verified},
		{"JSON", say(`{"ip":"203.0.113.7","country":"DE"}`), egress.Verified},
		{"IPv4 mapped into IPv6", say("::ffff:203.0.113.7"), egress.Verified},
		{"an unregistered address", say("203.0.113.9"), egress.Mismatch},
		{"the other family", say("2001:db8::7"), egress.Mismatch},
		{"no address", say("<html>captive portal</html>"), egress.Unknown},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "203.0.113.7", 500) }, egress.Unknown},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, egress.Unknown},
		{"an endless answer", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%08192d", 1) }, egress.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, s := registered(t, "203.0.113.7", "203.0.113.8", tt.answer)
			e.Attest(t.Context())
			a := e.Attestations()[0]
			if a.Standing != tt.standing {
				t.Fatalf("%v (%v), want %v", a.Standing, a.Err, tt.standing)
			}
			before := len(s.peerHosts())
			c, err := e.DialTLS(t.Context(), netip.Addr{}, "example.com", s.port)
			if tt.standing == egress.Verified {
				if err != nil || e.Public(netip.Addr{}) != netip.MustParseAddr("203.0.113.7") {
					t.Fatalf("got %v, public address %v", err, e.Public(netip.Addr{}))
				}
				c.Close()
				return
			}
			wantAs[*egress.UnverifiedError](t, err)
			if !egress.NotSent(err) || egress.Classify(err) != egress.ClassUnverified {
				t.Errorf("%v is not known to have sent nothing", err)
			}
			if n := len(s.peerHosts()); n != before {
				t.Errorf("%d connections were made all the same", n-before)
			}
		})
	}
}

// An echo that is down stops nothing that was verified before; one that sees a strange address does at once.
func TestAnEchoThatIsDownBlocksNothingThatWasVerified(t *testing.T) {
	var how atomic.Int32
	e, s := registered(t, "203.0.113.7", "203.0.113.7", func(w http.ResponseWriter, r *http.Request) {
		switch how.Load() {
		case 0:
			io.WriteString(w, "203.0.113.7")
		case 1:
			panic(http.ErrAbortHandler)
		default:
			io.WriteString(w, "198.51.100.1")
		}
	})
	for step, want := range []egress.Standing{egress.Verified, egress.Verified, egress.Mismatch} {
		how.Store(int32(step))
		e.Attest(t.Context())
		if a := e.Attestations()[0]; a.Standing != want {
			t.Fatalf("step %d: %v (%v), want %v", step, a.Standing, a.Err, want)
		}
	}
	how.Store(0)
	e.Attest(t.Context())
	how.Store(1)
	for age, want := range map[time.Duration]egress.Standing{23 * time.Hour: egress.Verified, 25 * time.Hour: egress.Unknown} {
		e.Age(age)
		e.Attest(t.Context())
		if a := e.Attestations()[0]; a.Standing != want {
			t.Errorf("with the echo down for %v: %v, want %v", age, a.Standing, want)
		}
		e.Age(-age)
	}
	how.Store(0)
	e.Attest(t.Context())
	c, err := e.DialTLS(t.Context(), netip.Addr{}, "example.com", s.port)
	if err != nil {
		t.Fatalf("verified again, and still refused: %v", err)
	}
	c.Close()
}

func TestEachSourceAddressIsAttestedByItself(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		io.WriteString(w, map[string]string{"127.0.0.2": "203.0.113.2", "127.0.0.3": "198.51.100.3"}[host])
	})
	url, resolve := s.named()
	two, three := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	e := newEgress(t, egress.Options{Roots: s.roots, Resolve: resolve, SourceAddresses: []netip.Addr{two, three}, Echo: []string{"https://echo.invalid/", url},
		Registered: []egress.Range{{From: netip.MustParseAddr("203.0.113.0"), To: netip.MustParseAddr("203.0.113.255")}}})
	if err := e.Registered(two); err == nil {
		t.Error("an address that nobody has looked at is verified")
	}
	e.Attest(t.Context())
	if err := e.Registered(two); err != nil {
		t.Error(err)
	}
	u := wantAs[*egress.UnverifiedError](t, e.Registered(three))
	if u.Standing != egress.Mismatch || u.Public.String() != "198.51.100.3" {
		t.Errorf("%v as %v, want a mismatch", u.Standing, u.Public)
	}
}

// Behind a NAT the address that Salesforce sees names a source address, as long as an echo sees it there.
func TestAnAddressThatAnEchoSeesIsASource(t *testing.T) {
	public := "203.0.113.7"
	e, _ := registered(t, "203.0.113.7", "203.0.113.8", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, public) })
	pin := netip.MustParseAddr("203.0.113.7")
	if got, err := e.Source("acme", pin); err == nil {
		t.Errorf("before any echo: %v", got)
	}
	e.Attest(t.Context())
	if got, err := e.Source("acme", pin); err != nil || got != (netip.Addr{}) {
		t.Errorf("got %v, %v, want the kernel's choice", got, err)
	}
	public = "203.0.113.8"
	e.Attest(t.Context())
	if got, err := e.Source("acme", pin); err == nil {
		t.Errorf("the NAT took another address: %v", got)
	}
}
