package netlab_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// wire joins m to the NAT by a private network, through which it reaches the
// Internet.
func wire(t *testing.T, m, nat *machine) {
	t.Helper()
	nat.do("ip", "link", "add", "private", "type", "veth", "peer", "name", "private", "netns", m.pid)
	nat.do("ip", "addr", "add", "10.66.0.1/24", "dev", "private")
	nat.do("ip", "link", "set", "private", "up")
	m.do("ip", "addr", "add", "10.66.0.2/24", "dev", "private")
	m.do("ip", "link", "set", "private", "up")
	m.do("ip", "route", "add", "198.51.100.0/24", "via", "10.66.0.1")
	nat.do("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
}

// masquerade has new connections through the machine leave by public.
func (m *machine) masquerade(public string) {
	m.t.Helper()
	cmd := m.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`table ip nat
delete table ip nat
table ip nat {
	chain out {
		type nat hook postrouting priority 100;
		oifname "out" snat to %s
	}
}
`, public))
	output(m.t, cmd)
}

// allowTo counts each packet to the Internet that goes elsewhere than to dest.
func (m *machine) allowTo(dest string) {
	m.t.Helper()
	cmd := m.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`table inet proof {
	counter strays { }
	chain out {
		type filter hook postrouting priority 300;
		oifname "out" meta nfproto ipv4 ip daddr != %s counter name strays
	}
}
`, dest))
	output(m.t, cmd)
}

// forward starts an upstream proxy on the machine: this binary, as [relay].
func (m *machine) forward(t *testing.T, addr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.command(self)
	cmd.Env = []string{"NETLAB_RELAY=" + addr}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// relay is a proxy that takes CONNECT, and every name for Salesforce's.
func relay(addr string) int {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "netlab:", err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() { // ends with the connection
			defer c.Close()
			r := bufio.NewReader(c)
			req, err := http.ReadRequest(r)
			if err != nil || req.Method != http.MethodConnect {
				return
			}
			up, err := net.Dial("tcp", net.JoinHostPort(salesforce4, req.URL.Port()))
			if err != nil {
				return
			}
			defer up.Close()
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
				return
			}
			go func() { // ends with the connection
				_, _ = io.Copy(up, r)
				_ = up.Close()
			}()
			_, _ = io.Copy(c, up)
		}()
	}
}
