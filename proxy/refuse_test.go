package proxy_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

func TestMisdirectedRequests(t *testing.T) {
	e := start(t, echo)
	for _, p := range protocols {
		for _, host := range []string{"evil.example", "umbrella.my.salesforce.com", acme + ":8443", acme + "."} {
			do(t, e.client("billing", p), "GET", "https://"+acme+data, nil, "Host", host).wantError(t, 421, access.Misdirected)
		}
		if r := do(t, e.client("billing", p), "GET", "https://"+acme+data, nil, "Host", "ACME.my.salesforce.com:443"); r.StatusCode != 200 {
			t.Errorf("%s, the same authority written otherwise: %d", p, r.StatusCode)
		}
	}
	for _, target := range []string{"http://" + acme + "/", "https://evil.example/", "HTTPS://umbrella.my.salesforce.com/"} {
		e.inside().say("GET", "GET "+target+" HTTP/1.1\r\nHost: "+acme+"\r\n\r\n").wantError(t, 421, access.Misdirected)
	}
	if r := e.inside().say("GET", "GET https://"+acme+data+" HTTP/1.1\r\nHost: evil.example\r\n\r\n"); r.body != "Bearer acme-1" {
		t.Errorf("the absolute form wins over Host (RFC 9112, section 3.2.2): %s", r.body)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	e := start(t, echo)
	for _, tt := range []struct {
		name, user, method, path string
		status                   int
		code                     access.Code
		header                   []string
	}{
		{"the authorisation endpoint", "billing", "POST", "/services/oauth2/authorize", 403, access.RequestNotAllowed, nil},
		{"singleaccess, folded", "billing", "POST", "//services///oauth2/singleaccess", 403, access.RequestNotAllowed, nil},
		{"below the token endpoint", "billing", "POST", "/services/oauth2/%74oken/x", 403, access.RequestNotAllowed, nil},
		{"frontdoor", "billing", "GET", "/secur/frontdoor.jsp", 403, access.RequestNotAllowed, nil},
		{"the UI", "billing", "GET", "/lightning/", 403, access.RequestNotAllowed, nil},
		{"a method", "reader", "POST", data, 403, access.RequestNotAllowed, nil},
		{"an overridden method", "reader", "GET", data, 403, access.RequestNotAllowed, []string{"X-HTTP-Method-Override", "DELETE"}},
		{"composite of a narrow client", "reader", "GET", data + "composite", 403, access.RequestNotAllowed, nil},
		{"an encoded slash", "billing", "GET", "/services%2Fdata", 400, access.BadRequest, nil},
		{"Upgrade", "billing", "GET", data, 403, access.RequestNotAllowed, []string{"Connection", "Upgrade", "Upgrade", "websocket"}},
		{"TRACE", "billing", "TRACE", data, 400, access.BadRequest, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			do(t, e.client(tt.user, ""), tt.method, "https://"+acme+tt.path, nil, tt.header...).wantError(t, tt.status, tt.code)
		})
	}
	c := e.client("billing", "")
	if r := do(t, c, "POST", "https://"+acme+"/services/Soap/u/65.0", strings.NewReader("<x/>"), "Content-Type", "text/xml"); r.StatusCode != 400 || !strings.Contains(r.body, "<faultcode>sf:SALLYPORT_BAD_REQUEST") {
		t.Errorf("SOAP: %d %s", r.StatusCode, r.body)
	}
	r := do(t, e.client("billing", "HTTP/2.0"), "POST", "https://"+acme+"/eventbus.v1.PubSub/GetTopic", strings.NewReader("x"), "Content-Type", "application/grpc")
	if r.StatusCode != 200 || r.Header.Get("Grpc-Status") != "9" || r.Header.Get("Sallyport-Error") != "bad_request" {
		t.Errorf("gRPC: %d %v", r.StatusCode, r.Header)
	}
	if r := do(t, e.client("reporting", ""), "POST", "https://"+acme+data, nil); r.StatusCode != 200 || !strings.Contains(e.log.String(), "decision=reported") {
		t.Errorf("report mode: %d %s", r.StatusCode, r.body)
	}
}

func TestABodyThatNamesWhatIsNotAllowedNeverArrivesWhole(t *testing.T) {
	whole := make(chan bool, 1)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		whole <- err == nil
	})
	body := strings.Repeat(" ", 100<<10) + `{"url":"query?q=SELECT+Id+FROM+\u0041uthSession"}`
	do(t, e.client("billing", ""), "POST", "https://"+acme+data+"composite", strings.NewReader(body)).wantError(t, 403, access.RequestNotAllowed)
	if <-whole {
		t.Error("Salesforce got the whole request")
	}
}

func TestEveryErrorHasItsStatus(t *testing.T) {
	e := start(t, echo)
	var upstream error
	e.upstream.trip = func(*http.Request) (*http.Response, error) { return nil, upstream }
	for _, code := range []struct {
		code   tokens.Code
		status int
	}{
		{tokens.CodeOrgNotAllowed, 403}, {tokens.CodeReauthRequired, 502}, {tokens.CodeSessionRejected, 502},
		{tokens.CodeMisconfigured, 502}, {tokens.CodeUnavailable, 503}, {tokens.CodeEgressUnverified, 503},
		{tokens.CodeShuttingDown, 503}, {tokens.CodeUpstream, 502}, {tokens.CodeUpstreamTLS, 502}, {tokens.CodeAddressNotAllowed, 403},
	} {
		e.tokens.set(&tokens.Error{Org: "acme", Code: code.code, What: "no", Hint: "do", RetryAfter: 1500 * time.Millisecond}, time.Time{})
		r := do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil)
		if r.StatusCode != code.status || r.Header.Get("Sallyport-Error") != string(code.code) || r.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d %v", code.code, r.StatusCode, r.Header)
		}
	}
	e.tokens.set(nil, time.Time{})
	for _, tt := range []struct {
		err    error
		status int
		code   access.Code
	}{
		{&egress.AddressNotAllowedError{Host: acme, Addr: netip.MustParseAddr("10.0.0.1"), Reason: "private"}, 403, "address_not_allowed"},
		{&egress.SourceError{Reason: "x"}, 502, "org_misconfigured"},
		{&egress.TLSError{Host: acme, Err: x509.UnknownAuthorityError{}}, 502, "upstream_tls"},
		{&egress.UnreachableError{Host: acme, Stage: egress.StageConnect, Err: errors.New("refused")}, 502, "upstream_unreachable"},
		{&net.OpError{Op: "read", Err: context.DeadlineExceeded}, 504, "upstream_timeout"},
		{io.ErrUnexpectedEOF, 502, "upstream_unreachable"},
	} {
		upstream = tt.err
		do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, tt.status, tt.code)
	}
	r := do(t, e.client("billing", ""), "GET", "https://"+acme+"/services/async/65.0/job/1", nil)
	if r.StatusCode != 502 || !strings.Contains(r.body, "<exceptionCode>SALLYPORT_UPSTREAM_UNREACHABLE") {
		t.Errorf("Bulk v1: %d %s", r.StatusCode, r.body)
	}
}

func TestASessionThatIsRefusedTwice(t *testing.T) {
	e := start(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(401)
		io.WriteString(w, invalidSession)
	})
	do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, 502, "session_rejected")
	if n := len(e.tokens.replaced); n != 1 {
		t.Errorf("%d replacements", n)
	}
	e.tokens.set(nil, time.Now().Add(time.Hour))
	do(t, e.client("billing", ""), "GET", "https://"+acme+data, nil).wantError(t, 502, "session_rejected")
	if n := len(e.tokens.replaced); n != 1 {
		t.Errorf("a token that is younger than the request was replaced, %d", n)
	}
}

func TestLimits(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	e := start(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == data+"wait" {
			entered <- true
			<-leave
		}
	})
	slow := e.client("slow", "")
	if r := do(t, slow, "GET", "https://"+acme+data, nil); r.StatusCode != 200 {
		t.Errorf("the first: %d", r.StatusCode)
	}
	r := do(t, slow, "GET", "https://"+acme+data, nil)
	r.wantError(t, 429, "rate_limited")
	if r.Header.Get("Retry-After") != "100" {
		t.Errorf("Retry-After %s", r.Header.Get("Retry-After"))
	}
	single := e.client("single", "")
	done := make(chan int)
	go func() { // Ends with its request.
		resp, err := single.Get("https://" + acme + data + "wait")
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	<-entered
	do(t, e.client("single", ""), "GET", "https://"+acme+data, nil).wantError(t, 429, "rate_limited")
	close(leave)
	if status := <-done; status != 200 {
		t.Errorf("the one under way: %d", status)
	}
	if r := do(t, single, "GET", "https://"+acme+data, nil); r.StatusCode != 200 {
		t.Errorf("the next: %d", r.StatusCode)
	}
}
