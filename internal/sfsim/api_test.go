package sfsim_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

const v67 = "/services/data/v67.0"

func envelope(session, op string) string {
	return `<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader><p:sessionId>` +
		session + `</p:sessionId></p:SessionHeader></e:Header><e:Body><p:` + op + `/></e:Body></e:Envelope>`
}

func TestEveryAPIAcceptsALivingSession(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	f.send("GET", base+"/services/data/", "").want(t, 200, `{"label":"v67.0","url":"/services/data/v67.0","version":"67.0"}`)
	r := f.get(v67+"/query?q=SELECT+Id+FROM+Contact", a)
	r.want(t, 200, `"type":"Contact"`)
	if !strings.HasPrefix(r.header.Get("Sforce-Limit-Info"), "api-usage=1/") || r.header.Get("Sfsim-Generation") != "0" {
		t.Errorf("headers %v", r.header)
	}
	f.send("GET", base+v67+"/limits", "", "Authorization", "OAuth "+a).want(t, 200, "DailyApiRequests")
	auth := []string{"Authorization", "bearer " + a}
	f.send("POST", base+v67+"/sobjects/Account", `{"Name":"x"}`, auth...).want(t, 201, `"success":true`)
	f.send("PATCH", base+v67+"/sobjects/Account/001", `{"Name":"x"}`, auth...).want(t, 204, "")
	f.get(v67+"/sobjects/Account/001", a).want(t, 200, `"Id":"001"`)
	f.get(v67+"/sobjects", a).want(t, 200, `"Account"`)
	f.get(v67+"/query", a).want(t, 400, "MALFORMED_QUERY")
	f.get(v67+"/nothing", a).want(t, 404, "NOT_FOUND")
	f.get("/services/data/v99.0/limits", a).want(t, 404, "NOT_FOUND")
	f.get(v67+"/jobs/query", a).want(t, 200, "records")
	f.get("//services/apexrest/mine", a).want(t, 200, `"path":"//services/apexrest/mine"`)
	f.send("POST", base+"/services/async/67.0/job", "<jobInfo/>", "X-SFDC-Session", a).want(t, 201, "<jobInfo")
	for _, api := range []string{"u/67.0", "c/67.0", "m/67.0", "T/67.0", "s/67.0"} {
		f.send("POST", base+"/services/Soap/"+api, envelope(a, "getUserInfo"), "Content-Type", "text/xml").want(t, 200, "<getUserInfoResponse>")
	}
	f.send("POST", base+"/cometd/67.0", `[{"channel":"/meta/handshake"}]`, "Authorization", "OAuth "+a).want(t, 200, `"successful":true`)
	f.get("/services/oauth2/userinfo", a).want(t, 200, `"preferred_username":"bot@acme.test"`)
	g := f.grant()
	f.send("GET", g.IdentityURL, "", "Authorization", "Bearer "+g.AccessToken).want(t, 200, `"user_id"`)
	if n, err := f.RecordsCreated(host); n != 1 || err != nil {
		t.Errorf("%d records created, %v", n, err)
	}
	f.violations(nil)
	l := f.Ledger()
	if l.API[0].OK != l.APIOK-1 || l.APIRefused != 0 || l.API[0].Token.Fingerprint != sfsim.Fingerprint(a) {
		t.Errorf("counts %+v of %d", l.API, l.APIOK)
	}
}

func TestHowADeadSessionLooksPerAPI(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	f.KillAccess(a)
	const rest = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
	post := func(path, body string, headers ...string) reply { return f.send("POST", base+path, body, headers...) }
	cases := []struct {
		name   string
		got    reply
		status int
		want   string
	}{
		{"REST", f.get(v67+"/limits", a), 401, rest},
		{"REST in XML", f.get(v67+"/limits", a, "Accept", "application/xml"), 401, "<errorCode>INVALID_SESSION_ID</errorCode><message>Session expired or invalid</message>"},
		{"Apex REST", f.get("/services/apexrest/x", a), 401, rest},
		{"Bulk 2", f.get(v67+"/jobs/ingest", a), 401, rest},
		{"Bulk 1", post("/services/async/67.0/job", "", "X-SFDC-Session", a), 400, `<error xmlns="http://www.force.com/2009/06/asyncapi/dataload"><exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>`},
		{"Bulk 1 in JSON", post("/services/async/67.0/job", "", "X-SFDC-Session", a, "Accept", "application/json"), 400, `{"exceptionCode":"InvalidSessionId"`},
		{"Bulk 1 with a Bearer", post("/services/async/67.0/job", "", "Authorization", "Bearer "+a), 400, "InvalidSessionId"},
		{"SOAP", post("/services/Soap/u/67.0", envelope(a, "query")), 500, "<faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session"},
		{"CometD handshake", post("/cometd/67.0", `[{"channel":"/meta/handshake"}]`, "Authorization", "Bearer "+a), 200, `"error":"403::Handshake denied","ext":{"replay":true,"sfdc":{"failureReason":"401::Authentication invalid"}}`},
		{"CometD connect", post("/cometd/67.0", `{"channel":"/meta/connect"}`, "Authorization", "Bearer "+a), 200, `"advice":{"reconnect":"none"},"channel":"/meta/connect","error":"401::Authentication invalid","successful":false`},
		{"userinfo", f.get("/services/oauth2/userinfo", a), 403, "Bad_OAuth_Token"},
		{"identity URL", f.get("/id/00D/005", a), 403, "Bad_OAuth_Token"},
		{"userinfo without a token", f.send("GET", base+"/services/oauth2/userinfo", ""), 403, "Missing_OAuth_Token"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.got.want(t, c.status, c.want) })
	}
	f.violations(nil)
	if l := f.Ledger(); l.API[0].Refused != 11 || l.APIRefused != 13 || l.APIOK != 0 {
		t.Errorf("%d of %d refused", l.API[0].Refused, l.APIRefused)
	}
}

func TestSOAPRefusesJWTsAndLogin(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.JWT, a.JWTLifetime = true, time.Minute })
	r := f.refresh(f.grant().RefreshToken)
	a := r.field("access_token")
	if strings.Count(a, ".") != 2 || r.field("token_format") != "jwt" {
		t.Fatalf("got %s", r.body)
	}
	f.clock.t = f.clock.t.Add(59 * time.Second)
	f.get(v67+"/limits", a).want(t, 200, "")
	f.send("POST", base+"/services/Soap/u/67.0", envelope(a, "query")).want(t, 500, "INVALID_SESSION_ID")
	f.clock.t = f.clock.t.Add(time.Second) // use doesn't extend a JWT
	f.get(v67+"/limits", a).want(t, 401, "")
	f.violations(nil)
	f.send("POST", base+"/services/Soap/u/67.0", envelope("", "login")).want(t, 500, "INVALID_LOGIN")
	f.violations(map[sfsim.ViolationKind]int{sfsim.SOAPLogin: 1})
}

func TestSOAPLogoutEndsTheSession(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	f.send("POST", base+"/services/Soap/u/67.0", envelope(a, "logout")).want(t, 200, "logoutResponse")
	f.alive(false, a)
	f.send("POST", base+"/services/Soap/u/67.0", "<e:Envelope").want(t, 500, "soapenv:Client")
}

func TestInactivityClock(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	for range 5 {
		f.clock.t = f.clock.t.Add(2*time.Hour - time.Second)
		f.get(v67+"/limits", a).want(t, 200, "")
	}
	check(t, f.SetSessionTimeout(host, 5*time.Millisecond))
	f.clock.t = f.clock.t.Add(5 * time.Millisecond)
	f.get(v67+"/limits", a).want(t, 401, "")
	check(t, f.SetSessionTimeout(host, time.Hour)) // what ended stays ended
	f.get(v67+"/limits", a).want(t, 401, "")
}

func TestSessionIPLock(t *testing.T) {
	f := setup(t)
	check(t, f.LockSessionsToIP(host, true))
	a := f.refresh(f.grant().RefreshToken).field("access_token")
	f.get(v67+"/limits", a).want(t, 200, "")
	elsewhere := clientOver(f.Transport("203.0.113.99:1"))
	do(elsewhere, request(t, "GET", base+v67+"/limits", "", "Authorization", "Bearer "+a)).want(t, 401, "INVALID_SESSION_ID")
	f.alive(true, a)
	check(t, f.LockSessionsToIP(host, false))
	do(elsewhere, request(t, "GET", base+v67+"/limits", "", "Authorization", "Bearer "+a)).want(t, 200, "")
}

func TestEchoTellsWhatArrived(t *testing.T) {
	f := setup(t)
	a := f.refresh(f.grant().RefreshToken).field("access_token")
	r := f.send("PUT", base+v67+"/echo?x=1&oauth_token="+a, "12345", "Authorization", "Bearer "+a, "X-Mine", "yes", "Cookie", "sid="+a)
	if strings.Contains(r.body, a) {
		t.Error("the token itself was echoed")
	}
	var e sfsim.Echo
	check(t, json.Unmarshal([]byte(r.body), &e))
	if e.Method != "PUT" || e.BodyBytes != 5 || e.Headers.Get("X-Mine") != "yes" || e.Generation != 1 || e.Grant != 1 ||
		e.Fingerprint != sfsim.Fingerprint(a) || e.Query.Get("x") != "1" || e.Headers.Get("Authorization") != "Bearer fingerprint:"+e.Fingerprint {
		t.Errorf("got %+v", e)
	}
	if r := f.get(v67+"/echo?set_sid=1", a); r.header.Get("Set-Cookie") != "sid="+a+"; path=/; secure; HttpOnly" {
		t.Errorf("cookie %q", r.header.Get("Set-Cookie"))
	}
}

func TestStreamUploadAndCompression(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	if r := f.get(v67+"/stream?bytes=100000&chunk=1000", a); len(r.body) != 100000 || r.header.Get("Content-Length") != "100000" {
		t.Errorf("%d bytes", len(r.body))
	}
	if r := f.get(v67+"/stream?bytes=60&chunk=26&delay=1&chunked=1", a); !strings.HasPrefix(r.body, "abc") || len(r.body) != 60 || r.header.Get("Content-Length") != "" {
		t.Errorf("got %q", r.body)
	}
	f.get(v67+"/stream?bytes=-1", a).want(t, 400, "")
	f.send("POST", base+v67+"/upload", "abc", "Authorization", "Bearer "+a).want(t, 200, `{"bytes":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}`)
	for _, path := range []string{"/limits?gzip=1", "/stream?bytes=500&gzip=1&delay=1&chunk=300"} {
		r := f.get(v67+path, a, "Accept-Encoding", "gzip")
		if r.header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: headers %v", path, r.header)
		}
		if b := must(io.ReadAll(must(gzip.NewReader(strings.NewReader(r.body)))(t)))(t); len(b) < 50 {
			t.Errorf("%s: %q", path, b)
		}
	}
	if r := f.get(v67+"/limits?gzip=1", a); r.header.Get("Content-Encoding") != "" {
		t.Error("compressed for a client that doesn't accept it")
	}
}

func TestViolations(t *testing.T) {
	cases := []struct {
		name string
		send func(f *fixture, a string) reply
		want map[sfsim.ViolationKind]int
	}{
		{"headers that tell of a proxy", func(f *fixture, a string) reply {
			return f.get(v67+"/limits", a, "X-Forwarded-For", "10.0.0.1", "Forwarded", "for=x", "Via", "1.1 x", "Proxy-Authorization", "x", "traceparent", "00", "baggage", "a=b", "Sallyport-Org", "acme")
		}, map[sfsim.ViolationKind]int{sfsim.ForwardedHeader: 7}},
		{"an unknown credential", func(f *fixture, _ string) reply { return f.get(v67+"/limits", "placeholder") },
			map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 1}},
		{"a client's own Basic credentials", func(f *fixture, _ string) reply {
			return f.send("GET", base+v67+"/limits", "", "Authorization", "Basic eDp5")
		}, map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 1}},
		{"a placeholder beside the token", func(f *fixture, a string) reply {
			return f.get(v67+"/limits?access_token=p", a, "X-SFDC-Session", "p", "Cookie", "sid=p")
		}, map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 3, sfsim.TokenInURL: 1}},
		{"a placeholder in SOAP", func(f *fixture, _ string) reply {
			return f.send("POST", base+"/services/Soap/u/67.0", envelope("p", "query"))
		}, map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 1}},
		{"a refresh token that was never issued", func(f *fixture, _ string) reply { return f.refresh("dummy") },
			map[sfsim.ViolationKind]int{sfsim.UnknownRefreshToken: 1}},
		{"another org's access token", func(f *fixture, a string) reply {
			must(f.AddOrg(sfsim.Org{Host: "b.my.salesforce.com"}))(f.t)
			return f.send("GET", "https://b.my.salesforce.com"+v67+"/limits", "", "Authorization", "Bearer "+a)
		}, map[sfsim.ViolationKind]int{sfsim.ForeignToken: 1}},
		{"a host of nobody", func(f *fixture, _ string) reply { return f.send("GET", "https://c.my.salesforce.com/", "") },
			map[sfsim.ViolationKind]int{sfsim.UnknownHost: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			c.send(f, f.grant().AccessToken)
			f.violations(c.want)
		})
	}
}
