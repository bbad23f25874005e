package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/admin"
)

func TestAProxyIsReadAsProgramsReadIt(t *testing.T) {
	for name, c := range map[string]struct{ value, want string }{
		"with a client's secret":     {"http://billing:TOP@127.0.0.1:3128", "http://billing:***@127.0.0.1:3128"},
		"with an org":                {"https://billing+acme:TOP@p.internal:8443", "https://billing+acme:***@p.internal:8443"},
		"without a scheme":           {"127.0.0.1:3128", "http://127.0.0.1:3128"},
		"without a port":             {"http://proxy", "http://proxy:80"},
		"TLS without a port":         {"https://proxy/", "https://proxy:443"},
		"a secret as the user":       {"http://TOP@proxy:1", "http://***@proxy:1"},
		"a user that is no client's": {"http://TOP!:x@proxy:1", "http://***@proxy:1"},
		"a variable":                 {"http://billing:${TOP}@proxy:1", ""},
		"a variable of Kubernetes":   {"http://billing:$(TOP)@proxy:1", ""},
		"a slash in the secret":      {"http://billing:1/TOP@proxy:1", ""},
		"a question mark":            {"http://billing:1?TOP@proxy:1", ""},
		"SOCKS":                      {"socks5://proxy:1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			u, why := parseProxy(c.value)
			got := ""
			if u != nil {
				got = masked(u)
			}
			if got != c.want || strings.Contains(why, "TOP") || (why == "") != (u != nil) {
				t.Errorf("%q (%s), want %q", got, why, c.want)
			}
		})
	}
}

func TestNodeUsesAProxyByItselfOnlyWhereItCan(t *testing.T) {
	for name, c := range map[string]struct {
		major, minor string
		asked        bool
		want         string
	}{
		"20":                  {"20", "20", true, admin.ResultWarning},
		"22.20":               {"22", "20", true, admin.ResultWarning},
		"22.21":               {"22", "21", true, admin.ResultOK},
		"23":                  {"23", "11", true, admin.ResultWarning},
		"24":                  {"24", "0", true, admin.ResultOK},
		"24 that isn't asked": {"24", "0", false, admin.ResultWarning},
	} {
		t.Run(name, func(t *testing.T) {
			if got, what, _ := judgeNode("v"+name, c.major, c.minor, c.asked); got != c.want {
				t.Errorf("%s: %s", got, what)
			}
		})
	}
}

func TestJavasOptions(t *testing.T) {
	st := &streams{environ: []string{
		`JAVA_TOOL_OPTIONS=-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128  '-Djavax.net.ssl.trustStore=/a b/c.p12' -Dx="y z" -Dempty= -ea`,
		`JDK_JAVA_OPTIONS=-Dhttps.proxyPort=3129`}}
	want := map[string]string{"https.proxyHost": "127.0.0.1", "https.proxyPort": "3129", "javax.net.ssl.trustStore": "/a b/c.p12", "x": "y z", "empty": ""}
	if diff := cmp.Diff(want, javaProperties(st)); diff != "" {
		t.Error(diff)
	}
	const at = "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128"
	for name, c := range map[string]struct{ options, proxy, want string }{
		"nothing":                     {"", "http://127.0.0.1:3128", admin.ResultNotVisible},
		"a proxy without a password":  {at, "http://127.0.0.1:3128", admin.ResultOK},
		"another proxy":               {at, "http://127.0.0.1:3129", admin.ResultWrong},
		"a proxy over TLS":            {at, "https://127.0.0.1:3128", admin.ResultWrong},
		"Basic left disabled":         {at, "http://billing:x@127.0.0.1:3128", admin.ResultWrong},
		"Basic enabled":               {at + " -Djdk.http.auth.tunneling.disabledSchemes=", "http://billing:x@127.0.0.1:3128", admin.ResultOK},
		"the host excluded":           {at + " -Dhttp.nonProxyHosts=localhost|*.salesforce.com", "http://127.0.0.1:3128", admin.ResultWrong},
		"another host excluded":       {at + " -Dhttp.nonProxyHosts=localhost|*.example.com", "http://127.0.0.1:3128", admin.ResultOK},
		"the host excluded by a part": {at + " -Dhttp.nonProxyHosts=acme.*", "http://127.0.0.1:3128", admin.ResultWrong},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := parseProxy(c.proxy)
			if f := javaProxyFinding(&streams{environ: []string{"JAVA_TOOL_OPTIONS=" + c.options}}, "acme.my.salesforce.com", u); f.Result != c.want {
				t.Errorf("%s: %s", f.Result, f.What)
			}
		})
	}
}

func TestWhatIsShownIsJudged(t *testing.T) {
	const host = "acme.my.salesforce.com"
	ca := issue(t, x509.Certificate{Subject: pkix.Name{Organization: []string{"sallyport"}}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomains: []string{"example.com"}, PermittedDNSDomainsCritical: true}, nil)
	free, other := root(t, "corporate"), root(t, "other")
	leaf := func(by *issued) []*x509.Certificate { return []*x509.Certificate{server(t, by, host).cert, by.cert} }
	trusting := func(certs ...*issued) trustSource {
		s := trustSource{runtime: "Go", variable: "SSL_CERT_FILE", set: true, path: "/roots.pem"}
		for _, c := range certs {
			s.certs = append(s.certs, c.cert)
		}
		return s
	}
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		source trustSource
		now    time.Time
		want   map[string]string // results that aren't ok
	}{
		"a CA of one's own": {leaf(free), trusting(free, other), time.Now(), map[string]string{"certificate": admin.ResultWarning, "name constraints": admin.ResultWarning}},
		"a bundle with nothing else": {leaf(free), trusting(free), time.Now(),
			map[string]string{"certificate": admin.ResultWarning, "name constraints": admin.ResultWarning, "trust of Go": admin.ResultWarning}},
		"a bundle without the CA": {leaf(free), trusting(other), time.Now(),
			map[string]string{"certificate": admin.ResultWarning, "name constraints": admin.ResultWarning, "trust of Go": admin.ResultWrong}},
		"a CA that may not vouch for the host": {leaf(ca), trusting(ca, other), time.Now(), map[string]string{"name constraints": admin.ResultWrong, "trust of Go": admin.ResultWrong}},
		"a clock that is behind": {leaf(free), trusting(free, other), time.Now().Add(-48 * time.Hour),
			map[string]string{"certificate": admin.ResultWarning, "name constraints": admin.ResultWarning, "clock": admin.ResultWrong}},
		"a clock that is ahead": {leaf(free), trusting(free, other), time.Now().Add(48 * time.Hour),
			map[string]string{"certificate": admin.ResultWarning, "name constraints": admin.ResultWarning, "clock": admin.ResultWrong}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for _, f := range judgeChain(newShown(host, c.chain, c.now), c.now, trustSource{}, []trustSource{c.source}) {
				if f.Result != admin.ResultOK {
					got[f.Check] = f.Result
				}
				if f.Result != admin.ResultOK && f.Hint == "" {
					t.Errorf("%s: %s has no hint", f.Check, f.What)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhoAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		code, body   string
		result, says string
	}{
		"the org":            {200, "", `[{"version":"64.0"},{"version":"65.0"}]`, admin.ResultOK, "newest API version is 65.0; org acme was chosen"},
		"a dead grant":       {502, "reauth_required", `[{"errorCode":"SALLYPORT_REAUTH_REQUIRED","message":"authorise it"}]`, admin.ResultWrong, "502 reauth_required: authorise it"},
		"a client's policy":  {403, "request_not_allowed", `x`, admin.ResultWarning, "403 request_not_allowed"},
		"an unknown code":    {503, "new\x1b[1m", ``, admin.ResultWrong, "503 new [1m"},
		"Salesforce's no":    {401, "", `[]`, admin.ResultWrong, "itself answered 401"},
		"a web page":         {200, "", `<html>`, admin.ResultWrong, "isn't a list of versions"},
		"a list of nothings": {200, "", `[]`, admin.ResultWrong, "isn't a list of versions"},
	} {
		t.Run(name, func(t *testing.T) {
			result, what, hint := judgeAnswer(c.status, c.code, []byte(c.body), "acme.my.salesforce.com", "billing+acme")
			if result != c.result || !strings.Contains(what, c.says) || result != admin.ResultOK && hint == "" {
				t.Errorf("%s: %s (%s)", result, what, hint)
			}
		})
	}
}
