package sfsim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// online starts a server and points the fixture's client at it. Its teardown
// fails the test if a goroutine outlives Close.
func online(t *testing.T, h2 bool) (*fixture, *sfsim.Server) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	f := setup(t)
	v := must(f.Start("127.0.0.1:0"))(t)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f.CAPEM()) {
		t.Fatal("CAPEM holds no certificate")
	}
	tr := &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, v.Addr())
		}}
	f.client = clientOver(tr)
	t.Cleanup(func() {
		check(t, v.Close())
		tr.CloseIdleConnections()
		goleak.VerifyNone(t, leaks)
	})
	return f, v
}

func TestOverRealTLS(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2]
		t.Run(proto, func(t *testing.T) {
			f, _ := online(t, h2)
			g := f.grant()
			r := f.refresh(g.RefreshToken)
			r.want(t, 200, "")
			f.form("https://login.salesforce.com/services/oauth2/token", refreshParams(r.field("refresh_token"))...).want(t, 200, "")
			f.get(v67+"/echo", g.AccessToken).want(t, 200, `"proto":"`+proto+`"`)
			x := f.Ledger().Tokens
			if x[0].SNI != host || x[1].SNI != "login.salesforce.com" || x[0].Proto != proto || x[0].Source.String() != "127.0.0.1" || !x[0].Delivered {
				t.Errorf("entries %+v", x)
			}
			f.violations(nil)

			f.Inject(sfsim.CutBody(100_000).On(sfsim.EndpointAPI))
			if r := f.get(v67+"/stream?bytes=5000000", g.AccessToken); r.err == nil || len(r.body) > 100_000 {
				t.Errorf("%d bytes, %v", len(r.body), r.err)
			}
		})
	}
}

func TestFaultsBreakRealConnections(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", h2), func(t *testing.T) {
			f, _ := online(t, h2)
			token := f.grant().RefreshToken
			f.Inject(sfsim.ResetAnswer())
			r := f.refresh(token)
			if r.err == nil || !h2 && !errors.Is(r.err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a reset", r.err)
			}
			f.Inject(sfsim.LoseAnswer())
			g := f.grant()
			if r := f.refresh(g.RefreshToken); r.err == nil || !h2 && !errors.Is(r.err, io.EOF) {
				t.Errorf("got %v, want a closed connection", r.err)
			}
			f.Inject(sfsim.CutBody(50))
			if r := f.refresh(f.grant().RefreshToken); r.err == nil || len(r.body) != 50 {
				t.Errorf("got %q, %v", r.body, r.err)
			}
			if l := f.Ledger(); len(l.Losses) != 3 || len(l.Tokens) != 3 {
				t.Errorf("%d losses of %d requests", len(l.Losses), len(l.Tokens))
			}
		})
	}
}

func TestCloseAbortsHandlersThatWait(t *testing.T) {
	f, v := online(t, false)
	token := f.grant().RefreshToken
	at := make(chan struct{})
	held := sfsim.Hold(make(chan struct{}))
	held.Reached = func() { close(at) }
	f.Inject(held)
	done := make(chan reply)
	go func() { done <- f.refresh(token) }()
	<-at
	check(t, v.Close())
	if r := <-done; r.err == nil {
		t.Error("got an answer")
	}
	if s := f.Lookup(token).State; s != "current" {
		t.Errorf("the token is %s", s)
	}
}

func TestOnlySalesforceHostsHaveACertificate(t *testing.T) {
	f, v := online(t, false)
	must(f.AddOrg(sfsim.Org{Host: "crm.example.com"}))(t)
	for name, want := range map[string]bool{"crm.example.com": true, "other.my.salesforce.com": true, "a.file.force.com": true, "evil-salesforce.com": false, "example.com": false} {
		d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: f.CertPool()}}
		c, err := d.DialContext(t.Context(), "tcp", v.Addr())
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			check(t, c.Close())
		}
	}
}

func TestHostThatIsNotTheHandshakesIsAViolation(t *testing.T) {
	f, _ := online(t, false)
	r := request(t, "GET", base+"/services/data/", "")
	r.Host = "login.salesforce.com"
	do(f.client, r)
	f.violations(map[sfsim.ViolationKind]int{sfsim.SNIMismatch: 1})
}

func TestManyCallersAtOnce(t *testing.T) {
	f, _ := online(t, true)
	g := f.grant()
	token := g.RefreshToken
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 5 {
				if r := f.get(v67+"/limits", g.AccessToken); r.status != 200 {
					t.Errorf("got %d %v", r.status, r.err)
				}
			}
		})
	}
	for range 10 {
		r := f.refresh(token)
		r.want(t, 200, "")
		token = r.field("refresh_token")
		_ = f.Ledger()
	}
	wg.Wait()
	if l := f.Ledger(); l.APIOK != 250 || l.Exchanges != 10 {
		t.Errorf("%d calls, %d exchanges", l.APIOK, l.Exchanges)
	}
}

func BenchmarkAPICall(b *testing.B) {
	s, err := sfsim.New(sfsim.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.AddApp(sfsim.App{ClientID: "key"}); err != nil {
		b.Fatal(err)
	}
	if _, err := s.AddOrg(sfsim.Org{Host: host, SessionTimeout: time.Hour}); err != nil {
		b.Fatal(err)
	}
	g, err := s.Authorize("key", host, "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r, err := http.NewRequestWithContext(b.Context(), "GET", base+v67+"/limits", http.NoBody)
		if err != nil {
			b.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+g.AccessToken)
		for pb.Next() {
			s.ServeHTTP(&sink{h: http.Header{}}, r)
		}
	})
}

type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}
