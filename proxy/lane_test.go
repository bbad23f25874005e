package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/proxy"
)

const get = "GET " + data + " HTTP/1.1\r\nHost: " + acme + "\r\n"

// FuzzPlainHeadsAreReadAsByNetHTTP holds the lane's reader against net/http's: what it takes, net/http takes and
// understands the same.
func FuzzPlainHeadsAreReadAsByNetHTTP(f *testing.F) {
	for _, head := range []string{
		get + "\r\n", get + "User-Agent: jsforce\r\nAccept: */*\r\nAccept: text/csv\r\nconnection: Keep-Alive\r\n\r\n",
		"HEAD /a?q=SELECT+Id&x=%41 HTTP/1.1\r\nhOst: " + acme + ":443\r\nX:\t v \r\n\r\n",
		get + "Content-Length: 0\r\n\r\n", get + "Transfer-Encoding: chunked\r\n\r\n", get + "Content-Length: 5\r\n\r\nhello",
		get + "Host: other\r\n\r\n", get + " folded: yes\r\n\r\n", get + "A: b\r\n c\r\n\r\n", get + "A : b\r\n\r\n", get + "A\r\n\r\n",
		get + "Pragma: no-cache\r\n\r\n", get + "Expect: 100-continue\r\n\r\n", get + "Upgrade: h2c\r\n\r\n", get + "Connection: close\r\n\r\n",
		get + "A: \x00\r\n\r\n", get + "A: \r\r\n\r\n", get + "\xff: b\r\n\r\n", get + ": b\r\n\r\n", get + "A: \xff\r\n\r\n",
		"GET //a HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%2e HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?#b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n := proxy.ReadPlain(b)
		if got == nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		want, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b[:n], err)
		}
		if left := len(b) - r.Buffered(); left != n || want.Body != http.NoBody {
			t.Errorf("net/http read %d bytes of %q, the lane %d", left, b, n)
		}
		type request struct {
			Method, URL, Path, RawPath, RawQuery, EscapedPath, Proto, Host, RequestURI string
			Major, Minor                                                               int
			Header                                                                     http.Header
			Length                                                                     int64
			Close                                                                      bool
			Encoding                                                                   []string
		}
		of := func(r *http.Request) request {
			return request{
				r.Method, r.URL.String(), r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.EscapedPath(), r.Proto, r.Host, r.RequestURI,
				r.ProtoMajor, r.ProtoMinor, r.Header, r.ContentLength, r.Close, r.TransferEncoding,
			}
		}
		if diff := cmp.Diff(of(want), of(got)); diff != "" {
			t.Errorf("%q (-net/http +lane):\n%s", b[:n], diff)
		}
	})
}

func TestWhatTheLaneTakes(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		takes      bool
	}{
		{"a plain GET", get + "Accept: application/json\r\n\r\n", true},
		{"a query", "GET /services/data/v65.0/query?q=SELECT+Id+FROM+Account HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"HEAD that keeps its connection", "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
		{"no host", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", false},
		{"two hosts", get + "Host: a\r\n\r\n", false},
		{"a body", get + "Content-Length: 5\r\n\r\n", false},
		{"a body of no length", get + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"a closing connection", get + "Connection: close\r\n\r\n", false},
		{"a header that is named hop-by-hop", get + "Connection: keep-alive, X-Secret\r\n\r\n", false},
		{"an upgrade", get + "Upgrade: websocket\r\n\r\n", false},
		{"an encoded path", "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"an absolute target", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"a POST", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
		{"a folded header", get + "A: b\r\n c\r\n\r\n", false},
		{"a space before a colon", get + "A : b\r\n\r\n", false},
		{"a lone line feed", get + "A: b\nC: d\r\n\r\n", false},
		{"a lone carriage return", get + "A: b\rC: d\r\n\r\n", false},
		{"a request behind it", get + "\r\n" + get + "\r\n", true}, // turn hands it over.
		{"more headers than it counts", get + strings.Repeat("A: b\r\n", 70) + "\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, _ := proxy.ReadPlain([]byte(tt.head)); (r != nil) != tt.takes {
				t.Errorf("takes %v", r != nil)
			}
		})
	}
}

// raw opens a tunnel to acme and does TLS for HTTP/1.1 in it.
func (e *env) raw(t *testing.T) *tls.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %[1]s:443\r\nProxy-Authorization: Basic YmlsbGluZzpwYXNz\r\n\r\n", acme)
	answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil || !bytes.Contains(answer, []byte(" 200 ")) {
		t.Fatalf("CONNECT: %q, %v", answer, err)
	}
	conn := tls.Client(c, &tls.Config{RootCAs: e.roots, ServerName: acme})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTheLaneHandsOverWithBytesIntact(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
	})
	post := "POST " + data + "x HTTP/1.1\r\nHost: " + acme + "\r\nContent-Length: 4\r\n\r\nbody"
	answers := []string{"GET " + data + " ", "POST " + data + "x body", "GET " + data + " "}
	for _, tt := range []struct {
		name   string
		pieces []string
	}{
		{"one after the other", []string{get + "\r\n", post, get + "\r\n"}},
		{"all at once", []string{get + "\r\n" + post + get + "\r\n"}},
		{"cut in the middle of a head", []string{get[:9], get[9:] + "\r\n" + post[:20], post[20:] + get, "\r\n"}},
		{"byte by byte", strings.Split(get+"\r\n"+post+get+"\r\n", "")},
		{"line feeds alone", []string{strings.ReplaceAll(get, "\r", "") + "\n", post, get + "\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := e.raw(t)
			go func() { // Ends when all is written, or with the connection.
				for _, p := range tt.pieces {
					if _, err := io.WriteString(c, p); err != nil {
						return
					}
				}
			}()
			r := bufio.NewReader(c)
			for i, want := range answers {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("answer %d: %v", i, err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(b) != want {
					t.Errorf("answer %d: %d %q, %v; want %q", i, resp.StatusCode, b, err, want)
				}
			}
		})
	}
}

func TestARequestBehindASlowOneIsServed(t *testing.T) {
	slow, release := make(chan struct{}), make(chan struct{})
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "slow") {
			close(slow)
			<-release
		}
		io.WriteString(w, r.URL.Path)
	})
	c := e.raw(t)
	io.WriteString(c, "GET "+data+"slow HTTP/1.1\r\nHost: "+acme+"\r\n\r\n")
	<-slow
	// Long enough for the lane to watch its client in most runs; the answers are the same if it didn't yet.
	io.WriteString(c, get+"\r\n")
	timer := time.AfterFunc(100*time.Millisecond, func() { close(release) })
	defer timer.Stop()
	r := bufio.NewReader(c)
	for _, want := range []string{data + "slow", data} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("got %q, want %q", b, want)
		}
	}
}

// answering is a TLS server that says what it is told, connection by connection, and counts requests.
func answering(t *testing.T, script func(conn int, c net.Conn, r *bufio.Reader)) (http.RoundTripper, string) {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lender.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	go func() { // Ends when the test closes l.
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // Ends with the script.
				defer c.Close()
				script(n, c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	out, err := egress.New(egress.Options{Roots: roots, Resolve: map[string]string{"example.com:443": l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out.Transport(netip.Addr{}), "https://example.com/"
}

func request(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err == nil {
		io.Copy(io.Discard, req.Body)
	}
	return err == nil
}

func fetch(t *testing.T, trip http.RoundTripper, method, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := trip.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestUpstreamConnectionsOfTheLane(t *testing.T) {
	t.Run("one that was closed while it was kept is not used again", func(t *testing.T) {
		trip, url := answering(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if request(r) {
				io.WriteString(c, ok)
			}
		})
		for range 20 {
			if got, err := fetch(t, trip, http.MethodGet, url); got != "ok" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
	t.Run("what nobody asked for is never an answer", func(t *testing.T) {
		trip, url := answering(t, func(n int, c net.Conn, r *bufio.Reader) {
			if n == 0 && request(r) {
				io.WriteString(c, ok+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			}
			for request(r) {
				io.WriteString(c, ok)
			}
		})
		for range 5 {
			if got, err := fetch(t, trip, http.MethodGet, url); got != "ok" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
	t.Run("a new one that is cut without an answer is an error", func(t *testing.T) {
		trip, url := answering(t, func(_ int, _ net.Conn, r *bufio.Reader) { request(r) })
		if got, err := fetch(t, trip, http.MethodGet, url); err == nil || egress.Classify(err) != egress.ClassUnreachable {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("one that is cut within an answer is an error", func(t *testing.T) {
		trip, url := answering(t, func(_ int, c net.Conn, r *bufio.Reader) {
			request(r)
			io.WriteString(c, ok[:len(ok)-1])
		})
		if got, err := fetch(t, trip, http.MethodGet, url); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("answers may be chunked, informational first, or end with the connection", func(t *testing.T) {
		trip, url := answering(t, func(n int, c net.Conn, r *bufio.Reader) {
			for i := 0; request(r); i++ {
				switch i % 3 {
				case 0:
					io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"+ok)
				case 1:
					io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n")
				case 2:
					io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nok")
					return
				}
			}
		})
		for range 7 {
			if got, err := fetch(t, trip, http.MethodGet, url); got != "ok" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
	t.Run("a header without end is refused", func(t *testing.T) {
		trip, url := answering(t, func(_ int, c net.Conn, r *bufio.Reader) {
			request(r)
			for range 3 {
				if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 1<<20)); err != nil {
					return
				}
			}
		})
		if got, err := fetch(t, trip, http.MethodGet, url); err == nil {
			t.Errorf("%d bytes", len(got))
		}
	})
}
