package egress_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/internal/egress"
	"golang.org/x/net/dns/dnsmessage"
)

func TestTheGuardRefusesAddressesThatAreNotPublic(t *testing.T) {
	e := newEgress(t, egress.Options{})
	for name, hostport := range map[string]string{
		"cloud metadata":           "169.254.169.254:443",
		"cloud metadata over IPv6": "[fd00:ec2::254]:443",
		"loopback":                 "127.0.0.1:443",
		"another loopback":         "127.8.9.10:443",
		"IPv6 loopback":            "[::1]:443",
		"IPv4-mapped loopback":     "[::ffff:127.0.0.1]:443",
		"IPv4-mapped, in hex":      "[::ffff:7f00:1]:443",
		"IPv4-mapped metadata":     "[::ffff:169.254.169.254]:443",
		"private 10/8":             "10.1.2.3:443",
		"private 172.16/12":        "172.16.0.1:443",
		"private 192.168/16":       "192.168.1.1:443",
		"carrier-grade NAT":        "100.64.0.1:443",
		"unspecified":              "0.0.0.0:443",
		"unspecified IPv6":         "[::]:443",
		"link-local IPv6":          "[fe80::1]:443",
		"link-local with a zone":   "[fe80::1%lo]:443",
		"unique local":             "[fd12:3456::1]:443",
		"multicast":                "224.0.0.1:443",
		"IPv6 multicast":           "[ff02::1]:443",
		"broadcast":                "255.255.255.255:443",
		"NAT64 of loopback":        "[64:ff9b::7f00:1]:443",
		"6to4 of loopback":         "[2002:7f00:1::]:443",
		"localhost by name":        "localhost:443",
		"loopback as one number":   "2130706433:443",
		"loopback in hex":          "0x7f.1:443",
		"loopback in octal":        "0177.0.0.1:443",
		"loopback, short":          "127.1:443",
		"a name with a line break": "example.com\r\nX: y:443",
		"a name with a space":      "example.com x:443",
		"no port":                  "example.com",
		"port zero":                "example.com:0",
		"a port by name":           "example.com:https",
		"an empty host":            ":443",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.DialTunnel(t.Context(), netip.Addr{}, hostport)
			wantAs[*egress.AddressNotAllowedError](t, err)
			if egress.Classify(err) != egress.ClassAddressNotAllowed || !egress.NotSent(err) {
				t.Errorf("%v: class %q", err, egress.Classify(err))
			}
		})
	}
}

func TestTheGuardOnOneAddress(t *testing.T) {
	for _, tt := range []struct {
		name, addr, allow string
		ok                bool
	}{
		{"a public address", "96.43.144.1", "", true},
		{"a public IPv6 address", "2606:4700::1", "", true},
		{"a public address, IPv4-mapped", "::ffff:96.43.144.1", "", true},
		{"a private address that is allowed", "10.1.2.3", "10.1.0.0/16", true},
		{"the same, IPv4-mapped", "::ffff:10.1.2.3", "10.1.0.0/16", true},
		{"a private address beside the allowed", "10.2.2.3", "10.1.0.0/16", false},
		{"a prefix with host bits", "10.1.9.9", "10.1.2.3/16", true},
		{"a unique local address that is allowed", "fd00::1", "fd00::/64", true},
		{"a public address inside an allowed NAT64", "64:ff9b::602b:9001", "64:ff9b::/96", true},
		{"loopback inside an allowed NAT64", "64:ff9b::7f00:1", "64:ff9b::/96", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var allow []netip.Prefix
			if tt.allow != "" {
				allow = append(allow, netip.MustParsePrefix(tt.allow))
			}
			if err := egress.Judge(allow, netip.MustParseAddr(tt.addr)); (err == nil) != tt.ok {
				t.Errorf("Judge: %v", err)
			}
		})
	}
}

// rebinder answers every A query with the next of its addresses, the last one for ever.
func rebinder(answers ...netip.Addr) *net.Resolver {
	next := make(chan netip.Addr, len(answers))
	for _, a := range answers {
		next <- a
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, dns := net.Pipe()
		go func() { // Ends when the resolver closes its end, after one answer.
			defer dns.Close()
			for {
				if !answerOne(dns, next) {
					return
				}
			}
		}()
		return client, nil
	}}
}

func answerOne(dns net.Conn, next chan netip.Addr) bool {
	var size [2]byte
	if _, err := io.ReadFull(dns, size[:]); err != nil {
		return false
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(dns, query); err != nil {
		return false
	}
	var m dnsmessage.Message
	if m.Unpack(query) != nil {
		return false
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		a := <-next
		if len(next) == 0 {
			next <- a
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: a.As4()},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return false
	}
	_, err = dns.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err == nil
}

func TestANameThatIsBoundAnewToAPrivateAddressIsRefused(t *testing.T) {
	s := serve(t, nil)
	// Only 127.0.0.1 is allowed here, in the part of the public address that the attacker shows first.
	e := newEgress(t, egress.Options{
		Allow:    []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Roots:    s.roots,
		Resolver: rebinder(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")),
	})
	c, err := e.DialTLS(t.Context(), netip.Addr{}, "example.com", s.port)
	if err != nil {
		t.Fatalf("before: %v", err)
	}
	c.Close()
	_, err = e.DialTLS(t.Context(), netip.Addr{}, "example.com", s.port)
	if refused := wantAs[*egress.AddressNotAllowedError](t, err); refused.Host != "example.com" || refused.Addr != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("error: %v", err)
	}
}
