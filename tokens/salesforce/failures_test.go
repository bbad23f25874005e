package salesforce_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// once sends one request to a server that does as s says, sees to it that it was
// one, and parses what came back. Without an error the class means nothing.
func once(t *testing.T, s script) (tokens.Issue, tokens.Class, error) {
	t.Helper()
	v := serve(t, s)
	l := connect(t, v.exchanger(t))
	a, sent, _ := l.Send(t.Context(), refresh(), noGuard)
	l.Close()
	if !sent {
		t.Error("a byte left and sent is false")
	}
	wantOneRequest(t, v)
	i, err := salesforce.Parse(a)
	r, ok := errors.AsType[*tokens.Refusal](err)
	if err != nil && !ok {
		t.Fatalf("error is %T %v, want a refusal", err, err)
	}
	if r == nil {
		r = &tokens.Refusal{}
	}
	return i, r.Class, err
}

// limited is a refusal after which a token is sent again: the worst thing to
// take an unclear answer for.
var limited = oauthError("rate_limit_exceeded", "login rate exceeded")

func TestFailure08AnAnswerThatNeverComesCostsOneRequest(t *testing.T) {
	for name, s := range map[string]script{
		"reset":  func(p *peer) { p.request(); p.reset() },
		"closed": replyAndClose(""),
		"cut":    replyAndDrop("HTTP/1.1 200 OK\r\nContent-Le"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, class, err := once(t, s); class != tokens.ClassDoubt || err == nil {
				t.Errorf("class %d, %v", class, err)
			}
		})
	}
}

// A line serves one request, so that no stale connection is ever used.
func TestFailure08EachRequestHasAConnectionOfItsOwn(t *testing.T) {
	v := serve(t, reply(ok(success)))
	l := connect(t, v.exchanger(t))
	for range 2 {
		_, _, _ = l.Send(t.Context(), refresh(), noGuard)
	}
	l.Close()
	wantOneRequest(t, v)
}

func TestFailure09WhatCameWholeOfACutAnswerCounts(t *testing.T) {
	whole := ok(success)
	for name, c := range map[string]struct {
		answer string
		token  string
	}{
		"cut behind the refresh token": {whole[:strings.Index(whole, `"instance_url"`)], "5Aep861new"},
		"cut within the refresh token": {whole[:strings.Index(whole, `new","instance_url"`)], ""},
		"cut before the refresh token": {whole[:strings.Index(whole, `"refresh_token"`)], ""},
	} {
		t.Run(name, func(t *testing.T) {
			i, class, err := once(t, replyAndClose(c.answer))
			if i.Refresh.Reveal() != c.token || (err == nil) != (c.token != "") || class != tokens.ClassDoubt {
				t.Errorf("a refresh token of %d bytes, class %d, %v", len(i.Refresh.Reveal()), class, err)
			}
		})
	}
}

func TestFailure10A5xxIsADoubtWhateverItSays(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504} {
		if _, class, err := once(t, reply(answer(status, "application/json", limited))); class != tokens.ClassDoubt || err == nil {
			t.Errorf("%d: class %d, %v", status, class, err)
		}
	}
}

func TestFailure11WhatStandsInFrontIsNoAnswerOfSalesforce(t *testing.T) {
	for name, a := range map[string]string{
		"a redirect to itself": "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://" + host + "/services/oauth2/token\r\nContent-Length: 0\r\n\r\n",
		"a redirect that says more": strings.Replace(answer(307, "application/json", limited), "\r\n",
			"\r\nLocation: https://"+host+"/services/oauth2/token\r\n", 1),
		"a captive page": answer(403, "text/html", "<html><error>rate_limit_exceeded</error><error_description>login rate exceeded</error_description></html>"),
		"Salesforce's edge, while an org is moved": answer(420, "application/json", limited),
	} {
		t.Run(name, func(t *testing.T) {
			if _, class, err := once(t, reply(a)); class != tokens.ClassDoubt || err == nil {
				t.Errorf("class %d, %v", class, err)
			}
		})
	}
}

// The ways in which HTTP libraries come to send a request twice.
func TestFailure12NothingIsRetriedByItself(t *testing.T) {
	for name, s := range map[string]script{
		"the connection dies under the request": func(p *peer) { p.request(); p.reset() },
		"408 and close":                         replyAndClose("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
		"421":                                   reply("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"),
		"425":                                   reply("HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n"),
		"503 with Retry-After: 0":               reply("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, class, err := once(t, s); class != tokens.ClassDoubt || err == nil {
				t.Errorf("class %d, %v", class, err)
			}
		})
	}
}

// A write that failed is not done again, whatever the connection knows of it.
func TestFailure12AFailedWriteIsNotRepeated(t *testing.T) {
	conn := &broken{wrote: true, answer: strings.NewReader("")}
	x, err := salesforce.New(salesforce.Options{Dialer: fixed{conn}, Apps: apps{testApp()}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := x.Connect(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	if _, sent, err := l.Send(t.Context(), refresh(), noGuard); !sent || err == nil || conn.writes != 1 {
		t.Errorf("%d writes, sent %t, %v", conn.writes, sent, err)
	}
}

// golang.org/x/oauth2 tries the client's credentials in a header first, and then
// in the body: two requests with one token.
func TestFailure13ARefusedClientCostsOneRequest(t *testing.T) {
	for _, status := range []int{400, 401} {
		v := serve(t, reply(answer(status, "application/json", oauthError("invalid_client", "invalid client credentials"))))
		l := connect(t, v.exchanger(t))
		a, _, _ := l.Send(t.Context(), refresh(), noGuard)
		l.Close()
		_, err := salesforce.Parse(a)
		wantClass(t, err, tokens.ClassMisconfigured)
		conns, got := v.seen()
		if n := strings.Count(got, "POST "); conns != 1 || n != 1 || strings.Contains(got, "Authorization") || strings.Count(got, "client_secret=") != 1 {
			t.Errorf("%d: %d requests on %d connections, with the secret %d times in the body", status, n, conns, strings.Count(got, "client_secret="))
		}
	}
}

func TestFailure14WhoGivesUpDoesNotCutTheRequest(t *testing.T) {
	TestCancellingDoesNotCutARequestThatWasSent(t)
}

func TestFailure25SomebodyElsesExchangeIsNeitherDeathNorALimit(t *testing.T) {
	for _, said := range []string{"token request is already being processed", "expired authorization code"} {
		_, class, err := once(t, reply(answer(400, "application/json", oauthError("invalid_grant", said))))
		if class != tokens.ClassBusy || err == nil {
			t.Errorf("%q: class %d, %v", said, class, err)
		}
	}
}

func TestFailure27OnlyWhatIsSaidOfTheTokenIsItsDeath(t *testing.T) {
	for said, want := range map[string]tokens.Class{
		"expired access/refresh token": tokens.ClassDead,
		"ip restricted":                tokens.ClassMisconfigured,
		"inactive user":                tokens.ClassMisconfigured,
		"inactive organization":        tokens.ClassMisconfigured,
		"something that nobody listed": tokens.ClassDoubt,
		"":                             tokens.ClassDoubt,
	} {
		_, err := salesforce.Parse(tokens.Answer(answer(400, "application/json", oauthError("invalid_grant", said))))
		wantClass(t, err, want)
	}
}

func TestFailure32AnAddressThatIsNotAllowedIsNoTokensDeath(t *testing.T) {
	_, class, err := once(t, reply(answer(400, "application/json", oauthError("invalid_grant", "ip restricted"))))
	if class != tokens.ClassMisconfigured || err == nil {
		t.Errorf("class %d, %v", class, err)
	}
}

func TestFailure33ARefusedClientSaysNothingOfTheToken(t *testing.T) {
	for code, said := range map[string]string{"invalid_client": "invalid client credentials", "invalid_client_id": "client identifier invalid", "invalid_client_credentials": ""} {
		_, err := salesforce.Parse(tokens.Answer(answer(401, "application/json", oauthError(code, said))))
		wantClass(t, err, tokens.ClassMisconfigured)
	}
}

func TestFailure38OnlyAWholeAnswerSaysThatAnOrgDoesNotRotate(t *testing.T) {
	without := strings.Replace(success, `"refresh_token":"5Aep861new",`, "", 1)
	if _, _, err := once(t, reply(ok(without))); err != nil {
		t.Error(err)
	}
	for name, a := range map[string]string{
		"cut":            strings.TrimSuffix(ok(without), "}"),
		"an empty token": ok(strings.Replace(success, "5Aep861new", "", 1)),
		"a null token":   ok(strings.Replace(success, `"5Aep861new"`, "null", 1)),
	} {
		_, class, err := once(t, replyAndClose(a))
		if class != tokens.ClassDoubt || err == nil {
			t.Errorf("%s: class %d, %v", name, class, err)
		}
	}
}

// What an answer says of the instance moves the API calls and never the place to
// which refresh tokens go.
func TestFailure39TheTokenHostStaysWhereverTheInstanceGoes(t *testing.T) {
	for said, want := range map[string]string{
		"https://acme--moved.sandbox.my.salesforce.com": "https://acme--moved.sandbox.my.salesforce.com",
		"http://acme.my.salesforce.com":                 "",
		"https://user@evil.example":                     "",
	} {
		a := ok(strings.Replace(success, "https://acme.my.salesforce.com", said, 1))
		v := serve(t, reply(a))
		x := v.exchanger(t)
		l := connect(t, x)
		raw, _, _ := l.Send(t.Context(), refresh(), noGuard)
		l.Close()
		i, err := x.Parse(raw)
		if err != nil || i.InstanceURL != want {
			t.Errorf("%s: instance %q, %v", said, i.InstanceURL, err)
		}
		if _, got := v.seen(); !strings.Contains(got, "Host: "+host+"\r\n") {
			t.Errorf("the request went elsewhere: %q", got)
		}
	}
}

// The deadline runs before the guard is asked: who stops in between for longer
// doesn't write.
func TestFailure55NothingIsWrittenAfterTheDeadline(t *testing.T) {
	v := serve(t, reply(ok(success)))
	x := exchanger(t, v.listener.Addr().String(), v.roots, testApp(), 20*time.Millisecond)
	l := connect(t, x)
	_, sent, err := l.Send(t.Context(), refresh(), func() error {
		<-time.After(60 * time.Millisecond)
		return nil
	})
	l.Close()
	if sent || err == nil {
		t.Errorf("sent %t, %v", sent, err)
	}
	wantNoRequest(t, v)
}
