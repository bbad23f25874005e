package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

const pubsub = "api.pubsub.salesforce.com"

// rawCodec leaves messages as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
func (rawCodec) Name() string                    { return "proto" }

// startGRPC serves h as the Pub/Sub API, every method of it, and a proxy in front of it until the test ends.
func startGRPC(t *testing.T, h grpc.StreamHandler, change ...func(*proxy.Options)) *env {
	t.Helper()
	e := start(t, echo, change...)
	authority := newAuthority(t, "salesforce.com")
	leaves, err := proxy.NewLeaves(authority)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := leaves.Mint(pubsub)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(leaf)), grpc.ForceServerCodec(rawCodec{}),
		grpc.UnknownServiceHandler(h))
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }() // Ends with Stop.
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	e.pubsub = server
	roots := x509.NewCertPool()
	roots.AddCert(authority.Root())
	var h2 http.Protocols
	h2.SetHTTP2(true)
	transport := &http.Transport{
		DisableCompression: true, Protocols: &h2, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: pubsub},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	e.upstream.trip = transport.RoundTrip
	return e
}

// grpc returns grpc-go's client through the proxy as billing, to hostport.
func (e *env) grpc(hostport string) *grpc.ClientConn {
	e.t.Helper()
	c, err := grpc.NewClient("passthrough:///"+hostport,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: e.roots})),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			c := e.connect(hostport)
			return c, c.SetDeadline(time.Time{})
		}), grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func unary(ctx context.Context, c *grpc.ClientConn, m string, o ...grpc.CallOption) (string, error) {
	in, out := []byte(m), []byte(nil)
	err := c.Invoke(ctx, "/eventbus.v1.PubSub/GetTopic", &in, &out, o...)
	return string(out), err
}

func bidi(ctx context.Context, t *testing.T, c *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/eventbus.v1.PubSub/Subscribe")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func say(t *testing.T, s grpc.ClientStream, m string) {
	t.Helper()
	b := []byte(m)
	if err := s.SendMsg(&b); err != nil {
		t.Fatal(err)
	}
}

func hear(s interface{ RecvMsg(m any) error }) (string, error) {
	var b []byte
	err := s.RecvMsg(&b)
	return string(b), err
}

// answerAll echoes every message, with what it was sent by.
func answerAll(_ any, s grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	for {
		m, err := hear(s)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		b := []byte(m + " " + strings.Join(append(append(md["accesstoken"], md["instanceurl"]...), md["tenantid"]...), " "))
		if err := s.SendMsg(&b); err != nil {
			return err
		}
	}
}

var errDeadSession = status.Error(codes.Unauthenticated, "An authentication exception occurred. Provide valid authentication via metadata headers.")

// deadAt refuses acme-1 as the Pub/Sub API does: behind its head, and after so many messages.
func deadAt(head bool, after int) grpc.StreamHandler {
	return func(srv any, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		if !cmp.Equal(md["accesstoken"], []string{"acme-1"}) {
			return answerAll(srv, s)
		}
		if head {
			if err := s.SendHeader(metadata.Pairs("rpc-id", "1")); err != nil {
				return err
			}
		}
		for range after {
			b := []byte("part")
			if err := s.SendMsg(&b); err != nil {
				return err
			}
		}
		s.SetTrailer(metadata.Pairs("error-code", "sfdc.platform.eventbus.grpc.service.auth.error"))
		return errDeadSession
	}
}

const filled = " acme-1 https://acme.my.salesforce.com " + orgID

func TestGRPC(t *testing.T) {
	e := startGRPC(t, func(srv any, s grpc.ServerStream) error {
		if err := s.SetHeader(metadata.Pairs("rpc-id", "7")); err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("error-code", "none"))
		return answerAll(srv, s)
	})
	for _, target := range []string{pubsub + ":443", pubsub + ":7443"} {
		c := e.grpc(target)
		t.Run("unary "+target, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(within(t), "accesstoken", "stolen", "instanceurl", "https://evil.example", "tenantid", "00Dx")
			var head, trailer metadata.MD
			m, err := unary(ctx, c, "topic", grpc.Header(&head), grpc.Trailer(&trailer))
			if err != nil || m != "topic"+filled {
				t.Errorf("%q, %v", m, err)
			}
			if !cmp.Equal(head["rpc-id"], []string{"7"}) || !cmp.Equal(trailer["error-code"], []string{"none"}) {
				t.Errorf("header %v, trailer %v", head, trailer)
			}
		})
		t.Run("both ways "+target, func(t *testing.T) {
			s := bidi(within(t), t, c)
			for _, m := range []string{"one", "two"} {
				say(t, s, m)
				if got, err := hear(s); err != nil || got != m+filled {
					t.Errorf("%q, %v", got, err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Error(err)
			}
			if _, err := hear(s); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
}

func TestGRPCStatusesPass(t *testing.T) {
	e := startGRPC(t, func(_ any, s grpc.ServerStream) error {
		m, err := hear(s)
		if err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("rpc-id", "9"))
		if m == "after" {
			b := []byte("part")
			if err := s.SendMsg(&b); err != nil {
				return err
			}
		}
		return status.Error(codes.NotFound, "no such töpic")
	})
	c := e.grpc(pubsub + ":443")
	var trailer metadata.MD
	if _, err := unary(within(t), c, "at once", grpc.Trailer(&trailer)); status.Code(err) != codes.NotFound ||
		status.Convert(err).Message() != "no such töpic" || !cmp.Equal(trailer["rpc-id"], []string{"9"}) {
		t.Errorf("%v, %v", err, trailer)
	}
	s := bidi(within(t), t, c)
	say(t, s, "after")
	if m, err := hear(s); err != nil || m != "part" {
		t.Errorf("%q, %v", m, err)
	}
	if _, err := hear(s); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}

func TestADeadGRPCSessionIsCured(t *testing.T) {
	for name, h := range map[string]grpc.StreamHandler{"by trailers only": deadAt(false, 0), "behind the head": deadAt(true, 0)} {
		t.Run(name, func(t *testing.T) {
			e := startGRPC(t, h)
			c := e.grpc(pubsub + ":443")
			if m, err := unary(within(t), c, "topic"); err != nil || !strings.HasPrefix(m, "topic acme-2 ") {
				t.Errorf("%q, %v", m, err)
			}
			e.tokens.mu.Lock()
			e.tokens.n["acme"] = 0
			e.tokens.mu.Unlock()
			s := bidi(within(t), t, c) // It has sent one message and waits.
			say(t, s, "fetch")
			if m, err := hear(s); err != nil || !strings.HasPrefix(m, "fetch acme-2 ") {
				t.Errorf("%q, %v", m, err)
			}
			say(t, s, "more") // The Read that the first attempt began.
			if m, err := hear(s); err != nil || !strings.HasPrefix(m, "more acme-2 ") {
				t.Errorf("%q, %v", m, err)
			}
			say(t, s, "still")
			if m, err := hear(s); err != nil || !strings.HasPrefix(m, "still acme-2 ") {
				t.Errorf("%q, %v", m, err)
			}
		})
	}
	t.Run("not after a message, but later", func(t *testing.T) {
		e := startGRPC(t, deadAt(false, 1))
		s := bidi(within(t), t, e.grpc(pubsub+":443"))
		say(t, s, "fetch")
		if m, err := hear(s); err != nil || m != "part" {
			t.Errorf("%q, %v", m, err)
		}
		if _, err := hear(s); status.Code(err) != codes.Unauthenticated {
			t.Error(err)
		}
		<-e.tokens.replaced
	})
	t.Run("once", func(t *testing.T) {
		e := startGRPC(t, func(any, grpc.ServerStream) error { return errDeadSession })
		_, err := unary(within(t), e.grpc(pubsub+":443"), "topic")
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "SALLYPORT_SESSION_REJECTED") {
			t.Error(err)
		}
	})
}

func TestRefusalsByGRPC(t *testing.T) {
	e := startGRPC(t, answerAll)
	for _, tt := range []struct {
		name string
		fail error
		code codes.Code
	}{
		{"reauth_required", &tokens.Error{Code: tokens.CodeReauthRequired}, codes.FailedPrecondition},
		{"token_unavailable", &tokens.Error{Code: tokens.CodeUnavailable, RetryAfter: time.Second}, codes.Unavailable},
		{"upstream_unreachable", &tokens.Error{Code: tokens.CodeUpstream}, codes.Unavailable},
	} {
		e.tokens.set(tt.fail, time.Time{})
		if _, err := unary(within(t), e.grpc(pubsub+":443"), "x"); status.Code(err) != tt.code || !strings.Contains(err.Error(), "SALLYPORT_"+strings.ToUpper(tt.name)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	e.tokens.set(nil, time.Time{})
	for name, code := range map[string]codes.Code{"nobody": codes.FailedPrecondition, "acme": codes.OK, "umbrella": codes.PermissionDenied} {
		_, err := unary(metadata.AppendToOutgoingContext(within(t), "sallyport-org", name), e.grpc(pubsub+":443"), "x")
		if name == "nobody" {
			code = codes.PermissionDenied
		}
		if status.Code(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.upstream.trip = func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	if _, err := unary(within(t), e.grpc(pubsub+":443"), "x"); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	r := do(t, e.client("billing", "HTTP/1.1"), "POST", "https://"+pubsub+"/eventbus.v1.PubSub/GetTopic", strings.NewReader("x"), "Content-Type", "application/grpc")
	if r.Header.Get("Grpc-Status") != "9" || !strings.Contains(r.Header.Get("Grpc-Message"), "HTTP/2") {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

func message(flag byte, length uint32, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, length), body...)
}

// What isn't a gRPC message is refused, and Salesforce gets nothing of it.
func TestGRPCMessagesThatLie(t *testing.T) {
	got := make(chan string, 1)
	e := startGRPC(t, func(_ any, s grpc.ServerStream) error {
		var all []string
		for {
			m, err := hear(s)
			if err != nil {
				got <- strings.Join(all, ",")
				return err
			}
			all = append(all, m)
		}
	})
	for name, bad := range map[string][]byte{
		"a length beyond the body":  message(0, 100, "short"),
		"a prefix that is cut":      {0, 0, 0},
		"a flag that is none":       message(7, 5, "hello"),
		"more than may be":          message(0, 4<<20+1, "begins"),
		"a length of four gigabyte": message(0, 1<<32-1, "begins"),
	} {
		t.Run(name, func(t *testing.T) {
			f := e.framesTo(t, pubsub+":443")
			f.ask(false, ":method", "POST", ":scheme", "https", ":authority", pubsub, ":path", "/eventbus.v1.PubSub/Publish",
				"content-type", "application/grpc", "te", "trailers")
			if err := f.WriteData(1, true, append(message(0, 4, "good"), bad...)); err != nil {
				t.Fatal(err)
			}
			head, ok := f.hear().(*http2.MetaHeadersFrame)
			if !ok {
				t.Fatal("no answer")
			}
			fields := map[string]string{}
			for _, h := range head.RegularFields() {
				fields[h.Name] = h.Value
			}
			if fields["grpc-status"] != "9" || fields["sallyport-error"] != string(access.BadRequest) || !head.StreamEnded() {
				t.Errorf("%v", fields)
			}
			if all := <-got; all != "good" && all != "" { // The reset may overtake it.
				t.Errorf("Salesforce got %q", all)
			}
		})
	}
}

// A stream that nothing happens on lives on, beyond the limits of uploads and idle connections.
func TestASilentGRPCStreamLives(t *testing.T) {
	const limit = 100 * time.Millisecond
	e := startGRPC(t, answerAll, func(o *proxy.Options) { o.StallTimeout, o.IdleTimeout = limit, limit })
	s := bidi(within(t), t, e.grpc(pubsub+":443"))
	for _, m := range []string{"one", "two"} {
		say(t, s, m)
		if got, err := hear(s); err != nil || got != m+filled {
			t.Fatalf("%q, %v", got, err)
		}
		<-time.After(5 * limit)
	}
}

// A message that stops half way is no silence.
func TestAGRPCMessageThatStalls(t *testing.T) {
	ended := make(chan error, 1)
	e := startGRPC(t, func(_ any, s grpc.ServerStream) error {
		_, err := hear(s)
		ended <- err
		return err
	}, func(o *proxy.Options) { o.StallTimeout = 100 * time.Millisecond })
	f := e.framesTo(t, pubsub+":443")
	f.ask(false, ":method", "POST", ":scheme", "https", ":authority", pubsub, ":path", "/eventbus.v1.PubSub/Publish",
		"content-type", "application/grpc", "te", "trailers")
	if err := f.WriteData(1, false, message(0, 100, "part")); err != nil {
		t.Fatal(err)
	}
	if head, ok := f.hear().(*http2.MetaHeadersFrame); !ok || head.PseudoValue("status") != "200" {
		t.Errorf("got %v", head)
	}
	if err := <-ended; err == nil {
		t.Error("Salesforce took a part for the whole")
	}
}

func TestAGRPCClientThatGoesAwayCancelsTheCall(t *testing.T) {
	entered, cancelled := make(chan bool, 1), make(chan error, 1)
	e := startGRPC(t, func(_ any, s grpc.ServerStream) error {
		entered <- true
		<-s.Context().Done()
		cancelled <- s.Context().Err()
		return s.Context().Err()
	})
	ctx, cancel := context.WithCancel(within(t))
	s := bidi(ctx, t, e.grpc(pubsub+":443"))
	say(t, s, "fetch")
	<-entered
	cancel()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the call upstream goes on")
	}
}

// A client that takes nothing of a stream holds the server back, and nothing piles up here.
func TestGRPCHoldsTheServerBack(t *testing.T) {
	sent := make(chan int, 1000)
	e := startGRPC(t, func(_ any, s grpc.ServerStream) error {
		b := make([]byte, 64<<10)
		for i := range 1000 {
			if err := s.SendMsg(&b); err != nil {
				return err
			}
			sent <- i
		}
		return nil
	})
	s := bidi(within(t), t, e.grpc(pubsub+":443"))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	last, quiet := 0, time.NewTimer(time.Second)
	for waiting := true; waiting; {
		select {
		case last = <-sent:
			quiet.Reset(300 * time.Millisecond)
		case <-quiet.C:
			waiting = false
		}
	}
	if last > 500 {
		t.Errorf("%d messages of 64 KiB left the server and nobody took them", last)
	}
	n := 0
	for {
		if _, err := hear(s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("%d messages", n)
	}
}

// A stream that is cut upstream ends with a status, not with a reset that clients take for a fault of their own.
func TestAGRPCStreamThatIsCut(t *testing.T) {
	e := startGRPC(t, answerAll)
	s := bidi(within(t), t, e.grpc(pubsub+":443"))
	say(t, s, "one")
	if _, err := hear(s); err != nil {
		t.Fatal(err)
	}
	e.pubsub.Stop()
	if _, err := hear(s); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
