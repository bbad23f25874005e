package salesforce_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

const success = `{"access_token":"00DWt00000B2V4b!AQnew","refresh_token":"5Aep861new","instance_url":"https://acme.my.salesforce.com",` +
	`"id":"https://login.salesforce.com/id/00DWt00000B2V4bMAF/005Wt000004d0fNIAQ","token_type":"Bearer","issued_at":"1758701441120"}`

func ok(body string) string { return answer(200, "application/json;charset=UTF-8", body) }

func answer(status int, contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d Whatever\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, contentType, len(body), body)
}

func chunked(parts ...string) string {
	s := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, p := range parts {
		s += strconv.FormatInt(int64(len(p)), 16) + "\r\n" + p + "\r\n"
	}
	return s
}

func zipped(body string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(body))
	_ = z.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())
}

// reply answers a whole request with s and leaves the connection open.
func reply(s string) script {
	return func(p *peer) {
		p.request()
		p.say(s)
	}
}

// replyAndClose answers a whole request with s and closes with a close_notify.
func replyAndClose(s string) script {
	return func(p *peer) {
		p.request()
		p.say(s)
		_ = p.CloseWrite()
	}
}

// replyAndDrop answers a whole request with s and ends TCP without TLS's leave.
func replyAndDrop(s string) script {
	return func(p *peer) {
		p.request()
		p.say(s)
		_ = p.tcp.CloseWrite()
	}
}

// Each fault of the way or of the server costs one request at most, and what
// came back is returned to the byte.
func TestOneRequestUnderEveryFault(t *testing.T) {
	huge := answer(200, "text/html", strings.Repeat("x", 2<<20))
	cut := strings.TrimSuffix(ok(success), `"token_type":"Bearer","issued_at":"1758701441120"}`)
	const whole, broken = false, true
	for name, c := range map[string]struct {
		script script
		answer string
		fails  bool          // Send
		class  *tokens.Class // of Parse's refusal, nil for an Issue
	}{
		"a whole answer":                        {reply(ok(success)), ok(success), whole, nil},
		"reset after reading":                   {func(p *peer) { p.request(); p.reset() }, "", broken, doubt()},
		"closed after reading":                  {replyAndClose(""), "", broken, doubt()},
		"closed within the status line":         {replyAndClose("HTTP/1.1 2"), "HTTP/1.1 2", broken, doubt()},
		"closed within the header":              {replyAndClose("HTTP/1.1 200 OK\r\nContent-Ty"), "HTTP/1.1 200 OK\r\nContent-Ty", broken, doubt()},
		"closed within the body":                {replyAndClose(cut), cut, broken, nil},
		"dropped within the body":               {replyAndDrop(cut), cut, broken, nil},
		"dropped before any token":              {replyAndDrop(cut[:len(cut)-len(success)/2-120]), cut[:len(cut)-len(success)/2-120], broken, doubt()},
		"307 to itself":                         {reply("HTTP/1.1 307 Temporary Redirect\r\nLocation: https://" + host + "/services/oauth2/token\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://" + host + "/services/oauth2/token\r\nContent-Length: 0\r\n\r\n", whole, doubt()},
		"a 503 with Retry-After":                {reply("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", whole, doubt()},
		"a 500 with an OAuth error":             {reply(answer(500, "application/json", dead)), answer(500, "application/json", dead), whole, doubt()},
		"a 420 page":                            {reply(answer(420, "text/html", "<html>setting things up</html>")), answer(420, "text/html", "<html>setting things up</html>"), whole, doubt()},
		"a 200 page":                            {reply(answer(200, "text/html", "<html><body>hello</body></html>")), answer(200, "text/html", "<html><body>hello</body></html>"), whole, doubt()},
		"chunks":                                {reply(chunked(success[:40], success[40:], "")), chunked(success[:40], success[40:], ""), whole, nil},
		"chunks without an end":                 {replyAndClose(chunked(success)), chunked(success), broken, nil},
		"a malformed chunk":                     {replyAndClose(chunked(success) + "zz\r\n"), chunked(success) + "zz\r\n", broken, nil},
		"gzip that nobody asked for":            {reply(zipped(success)), zipped(success), whole, nil},
		"interim responses first":               {reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(success)), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(success), whole, nil},
		"an interim response alone":             {replyAndClose("HTTP/1.1 100 Continue\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n", broken, doubt()},
		"a body that ends with the connection":  {replyAndClose("HTTP/1.0 200 OK\r\n\r\n" + success), "HTTP/1.0 200 OK\r\n\r\n" + success, whole, nil},
		"no HTTP":                               {replyAndClose("220 mail.example.com ESMTP\r\n"), "220 mail.example.com ESMTP\r\n", broken, doubt()},
		"HTTP/2 without negotiation":            {replyAndClose("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), "\x00\x00\x00\x04\x00\x00\x00\x00\x00", broken, doubt()},
		"a giant body":                          {reply(huge), huge[:1<<20], broken, doubt()},
		"an answer before the request was read": {func(p *peer) { p.say(ok(success)); p.request() }, ok(success), whole, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := serve(t, c.script)
			x := v.exchanger(t)
			l := connect(t, x)
			a, sent, err := l.Send(t.Context(), refresh(), noGuard)
			l.Close()
			if !sent {
				t.Error("a byte left and sent is false")
			}
			if c.fails != (err != nil) {
				t.Errorf("error is %v", err)
			}
			if err != nil {
				if e := failed(t, err, tokens.CodeUpstream); e.Temporary {
					t.Error("the error says that sending again is safe")
				}
			}
			if string(a) != c.answer {
				t.Errorf("answer of %d bytes %.200q, want %d bytes %.200q", len(a), a, len(c.answer), c.answer)
			}
			wantOneRequest(t, v)
			i, perr := x.Parse(a)
			if c.class == nil {
				if perr != nil || i.Refresh.Reveal() != "5Aep861new" {
					t.Errorf("Parse: %v, refresh token of %d bytes", perr, len(i.Refresh.Reveal()))
				}
				return
			}
			wantClass(t, perr, *c.class)
		})
	}
}

func doubt() *tokens.Class { return new(tokens.Class) }

func wantClass(t *testing.T, err error, class tokens.Class) {
	t.Helper()
	_ = refused(t, err, class)
}

// refused returns the refusal that err is or wraps, which is of class.
func refused(t *testing.T, err error, class tokens.Class) *tokens.Refusal {
	t.Helper()
	r, ok := errors.AsType[*tokens.Refusal](err)
	if !ok {
		t.Fatalf("error is %T %v, want a refusal", err, err)
	}
	if r.Class != class {
		t.Errorf("class is %d, want %d: %v", r.Class, class, err)
	}
	return r
}

func wantOneRequest(t *testing.T, v *server) {
	t.Helper()
	conns, got := v.seen()
	if conns != 1 || strings.Count(got, "POST ") != 1 {
		t.Errorf("%d connections carried %d requests, want one on one", conns, strings.Count(got, "POST "))
	}
}

func wantNoRequest(t *testing.T, v *server) {
	t.Helper()
	if _, got := v.seen(); got != "" {
		t.Errorf("the server read %d bytes, want none", len(got))
	}
}

func TestTheRequestIsOnePlainPost(t *testing.T) {
	v := serve(t, reply(ok(success)))
	l := connect(t, v.exchanger(t))
	if _, _, err := l.Send(t.Context(), refresh(), noGuard); err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, got := v.seen()
	want := "POST /services/oauth2/token HTTP/1.1\r\nHost: acme.my.salesforce.com\r\nUser-Agent: sallyport\r\nConnection: close\r\n" +
		"Content-Length: 107\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" +
		"client_id=3MVG9.client&client_secret=s3cret%2F%2B&grant_type=refresh_token&refresh_token=5Aep861old%2Btoken"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAConnectionResetBeforeTheRequestIsTold(t *testing.T) {
	gone := make(chan struct{})
	v := serve(t, func(p *peer) { p.reset(); close(gone) })
	l := connect(t, v.exchanger(t))
	a, sent, err := l.Send(t.Context(), refresh(), func() error { <-gone; return nil })
	if err == nil || len(a) != 0 {
		t.Fatalf("answer of %d bytes, error %v", len(a), err)
	}
	if e := failed(t, err, tokens.CodeUpstream); e.Temporary == sent {
		t.Errorf("sent is %t and Temporary %t", sent, e.Temporary)
	}
	if sent {
		t.Error("the kernel refused every byte and sent is true")
	}
	wantNoRequest(t, v)
}

func TestNothingIsSentWithoutTheGuardsConsent(t *testing.T) {
	v := serve(t, func(*peer) {})
	l := connect(t, v.exchanger(t))
	late := errors.New("too late")
	_, sent, err := l.Send(t.Context(), refresh(), func() error { return late })
	if sent || !errors.Is(err, late) {
		t.Errorf("sent %t, error %v", sent, err)
	}
	l.Close()
	wantNoRequest(t, v)
}

func TestNothingIsSentForAContextThatIsOver(t *testing.T) {
	v := serve(t, func(*peer) {})
	l := connect(t, v.exchanger(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, sent, err := l.Send(ctx, refresh(), noGuard)
	if sent || !errors.Is(err, context.Canceled) {
		t.Errorf("sent %t, error %v", sent, err)
	}
	l.Close()
	wantNoRequest(t, v)
}

func TestCancellingDoesNotCutARequestThatWasSent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := serve(t, func(p *peer) {
		p.request()
		cancel()
		p.say(ok(success))
	})
	l := connect(t, v.exchanger(t))
	a, sent, err := l.Send(ctx, refresh(), noGuard)
	l.Close()
	if err != nil || !sent || string(a) != ok(success) {
		t.Errorf("sent %t, answer %q, error %v", sent, a, err)
	}
	wantOneRequest(t, v)
}

func TestASilentServerIsWaitedForUntilTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, deadline time.Duration
	}{
		"the exchange timeout":   {100 * time.Millisecond, time.Minute},
		"the context's deadline": {time.Minute, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			v := serve(t, reply("HTTP/1.1 200 OK\r\n"))
			x := exchanger(t, v.listener.Addr().String(), v.roots, testApp(), c.timeout)
			l := connect(t, x)
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			start := time.Now()
			a, sent, err := l.Send(ctx, refresh(), noGuard)
			l.Close()
			if e := failed(t, err, tokens.CodeUpstream); !strings.Contains(e.What, "in time") {
				t.Errorf("error is %v", err)
			}
			if !sent || string(a) != "HTTP/1.1 200 OK\r\n" || time.Since(start) < 90*time.Millisecond {
				t.Errorf("sent %t, answer %q after %v", sent, a, time.Since(start))
			}
			wantOneRequest(t, v)
		})
	}
}

func TestALineServesOneRequest(t *testing.T) {
	v := serve(t, reply(ok(success)))
	l := connect(t, v.exchanger(t))
	if _, _, err := l.Send(t.Context(), refresh(), noGuard); err != nil {
		t.Fatal(err)
	}
	if _, sent, err := l.Send(t.Context(), refresh(), noGuard); err == nil || !sent {
		t.Errorf("the second time: sent %t, error %v", sent, err)
	}
	if l.Address() != "127.0.0.1" {
		t.Errorf("address %q", l.Address())
	}
	l.Close()
	wantOneRequest(t, v)
}

func TestNothingIsSentWithoutACredential(t *testing.T) {
	for name, c := range map[string]tokens.Credential{
		"an empty refresh token": {Kind: salesforce.KindRefreshToken},
		"an unknown kind":        {Kind: "password", Secret: secret.NewText("x")},
		"a code that isn't one":  {Kind: salesforce.KindAuthorizationCode, Secret: secret.NewText("aPrx%zz")},
	} {
		t.Run(name, func(t *testing.T) {
			v := serve(t, func(*peer) {})
			l := connect(t, v.exchanger(t))
			_, sent, err := l.Send(t.Context(), c, noGuard)
			if e := failed(t, err, tokens.CodeUnavailable); sent || e.Temporary {
				t.Errorf("sent %t, temporary %t", sent, e.Temporary)
			}
			if strings.Contains(err.Error(), "aPrx") {
				t.Errorf("the error quotes the credential: %v", err)
			}
			l.Close()
			wantNoRequest(t, v)
		})
	}
}
