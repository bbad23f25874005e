package access_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/proxy/access"
)

func TestPolicy(t *testing.T) {
	const data = "/services/data/v65.0/"
	free := &registry.Client{}
	reader := &registry.Client{Methods: []string{"GET", "PATCH"}}
	narrow := &registry.Client{Paths: []string{"/services/data/", "/services/apexrest/orders"}}
	composer := &registry.Client{Methods: []string{"POST"}, Composite: true}
	trusted := &registry.Client{Allow: []string{"executeAnonymous", "apexSoap", "AuthSession", "OauthToken"}}
	session := &registry.Client{Allow: []string{"AuthSession"}}
	for _, tt := range []struct {
		name   string
		client *registry.Client
		r      access.Request
		code   access.Code
	}{
		{"a client without lists reads", free, access.Request{Method: "GET", Path: data + "limits"}, ""},
		{"and streams", free, access.Request{Method: "POST", Path: "/cometd/65.0"}, ""},
		{"and asks who it is", free, access.Request{Method: "GET", Path: "/id/00D/005"}, ""},
		{"a local caller is such a client", nil, access.Request{Method: "DELETE", Path: data + "sobjects/A/1"}, ""},
		{"the UI isn't reached", free, access.Request{Method: "GET", Path: "/lightning/page/home"}, "request_not_allowed"},
		{"the root isn't reached", free, access.Request{Method: "GET", Path: "/"}, "request_not_allowed"},
		{"gRPC is reached anywhere", free, access.Request{Method: "POST", Path: "/eventbus.v1.PubSub/Subscribe", GRPC: true}, ""},
		{"but not past paths", narrow, access.Request{Method: "POST", Path: "/eventbus.v1.PubSub/Subscribe", GRPC: true}, "request_not_allowed"},
		{"a path within paths", narrow, access.Request{Method: "GET", Path: data + "limits"}, ""},
		{"a path that is a prefix itself", narrow, access.Request{Method: "GET", Path: "/services/apexrest/orders"}, ""},
		{"a path below it", narrow, access.Request{Method: "GET", Path: "/services/apexrest/orders/1"}, ""},
		{"a path that only begins alike", narrow, access.Request{Method: "GET", Path: "/services/apexrest/ordersecrets"}, "request_not_allowed"},
		{"a path in another case", narrow, access.Request{Method: "GET", Path: "/SERVICES/data/v65.0/limits"}, "request_not_allowed"},
		{"a method within methods", reader, access.Request{Method: "GET", Path: data}, ""},
		{"a method outside of methods", reader, access.Request{Method: "DELETE", Path: data}, "request_not_allowed"},
		{"POST that is PATCH by parameter", reader, access.Request{Method: "POST", Path: data, RawQuery: "a=b&_HttpMethod=PATCH"}, ""},
		{"POST that is PATCH by header", reader, access.Request{Method: "POST", Path: data, Override: "PATCH"}, ""},
		{"GET that is DELETE by parameter", reader, access.Request{Method: "GET", Path: data, RawQuery: "_HttpMethod=DELETE"}, "request_not_allowed"},
		{"the same with escapes", reader, access.Request{Method: "GET", Path: data, RawQuery: "_%48ttpMethod=%44ELETE"}, "request_not_allowed"},
		{"the same with every letter escaped", reader, access.Request{Method: "GET", Path: data, RawQuery: "_H%74%74pMethod=DELETE"}, "request_not_allowed"},
		{"the same in another case", reader, access.Request{Method: "GET", Path: data, RawQuery: "_HTTPMETHOD=DELETE"}, "request_not_allowed"},
		{"the same behind a semicolon", reader, access.Request{Method: "GET", Path: data, RawQuery: "a=1;_HttpMethod=DELETE"}, "request_not_allowed"},
		{"composite by its suffix", reader, access.Request{Method: "GET", Path: data + "composite.JSON"}, "request_not_allowed"},
		{"a sensitive object by its suffix", free, access.Request{Method: "GET", Path: data + "sobjects/AuthSession.json"}, "request_not_allowed"},
		{"executeAnonymous by its suffix", free, access.Request{Method: "GET", Path: data + "tooling/executeAnonymous.xml"}, "request_not_allowed"},
		{"an app's secrets by their suffix", trusted, access.Request{Method: "GET", Path: data + "apps/oauth.json"}, "request_not_allowed"},
		{"GET that is DELETE by header", reader, access.Request{Method: "GET", Path: data, Override: "delete"}, "request_not_allowed"},
		{"POST that says it is GET", reader, access.Request{Method: "POST", Path: data, Override: "GET"}, "request_not_allowed"},
		{"methods that contradict each other", reader, access.Request{Method: "POST", Path: data, Override: "PATCH", RawQuery: "_HttpMethod=DELETE"}, "bad_request"},
		{"composite of a client without lists", free, access.Request{Method: "POST", Path: data + "composite/batch"}, ""},
		{"composite of a client with methods", reader, access.Request{Method: "GET", Path: data + "composite"}, "request_not_allowed"},
		{"graph of a client with paths", narrow, access.Request{Method: "POST", Path: data + "Composite/graph"}, "request_not_allowed"},
		{"tooling composite of a client with paths", narrow, access.Request{Method: "POST", Path: data + "tooling/composite"}, "request_not_allowed"},
		{"Connect's batch of a client with paths", narrow, access.Request{Method: "GET", Path: data + "connect/batch/1,2"}, "request_not_allowed"},
		{"composite: true", composer, access.Request{Method: "POST", Path: data + "composite"}, ""},
		{"executeAnonymous", free, access.Request{Method: "GET", Path: data + "tooling/executeAnonymous"}, "request_not_allowed"},
		{"executeAnonymous in another case", free, access.Request{Method: "GET", Path: data + "tooling/EXECUTEanonymous/"}, "request_not_allowed"},
		{"executeAnonymous when it is allowed", trusted, access.Request{Method: "GET", Path: data + "tooling/executeAnonymous"}, ""},
		{"Apex SOAP", free, access.Request{Method: "POST", Path: "/services/Soap/s/65.0"}, "request_not_allowed"},
		{"Apex SOAP when it is allowed", trusted, access.Request{Method: "POST", Path: "/services/Soap/s/65.0"}, ""},
		{"SOQL on AuthSession", free, access.Request{Method: "GET", Path: data + "query", RawQuery: "q=SELECT+Id+FROM+authsession"}, "request_not_allowed"},
		{"SOQL on AuthSession with escapes", free, access.Request{Method: "GET", Path: data + "query", RawQuery: "q=SELECT+Id+FROM+%41uth%53ession"}, "request_not_allowed"},
		{"SOQL on AuthSession when it is allowed", session, access.Request{Method: "GET", Path: data + "query", RawQuery: "q=SELECT+Id+FROM+AuthSession"}, ""},
		{"SOQL on OauthToken when AuthSession is allowed", session, access.Request{Method: "GET", Path: data + "query", RawQuery: "q=SELECT+DeleteToken+FROM+OauthToken"}, "request_not_allowed"},
		{"the object OauthToken", free, access.Request{Method: "GET", Path: data + "sobjects/OAuthToken/0CQ"}, "request_not_allowed"},
		{"SOQL on Account", free, access.Request{Method: "GET", Path: data + "query", RawQuery: "q=SELECT+Id+FROM+Account"}, ""},

		{"the token endpoint", trusted, access.Request{Method: "POST", Path: "/services/oauth2/token"}, "request_not_allowed"},
		{"the token endpoint in another case", trusted, access.Request{Method: "POST", Path: "/services/OAuth2/Token"}, "request_not_allowed"},
		{"authorize", trusted, access.Request{Method: "GET", Path: "/services/oauth2/authorize/expid"}, "request_not_allowed"},
		{"revoke", trusted, access.Request{Method: "GET", Path: "/services/oauth2/revoke"}, "request_not_allowed"},
		{"introspect", trusted, access.Request{Method: "POST", Path: "/services/oauth2/introspect"}, "request_not_allowed"},
		{"register", trusted, access.Request{Method: "POST", Path: "/services/oauth2/register"}, "request_not_allowed"},
		{"device", trusted, access.Request{Method: "POST", Path: "/services/oauth2/device"}, "request_not_allowed"},
		{"singleaccess", trusted, access.Request{Method: "GET", Path: "/services/oauth2/singleaccess"}, "request_not_allowed"},
		{"userinfo passes", trusted, access.Request{Method: "GET", Path: "/services/oauth2/userinfo"}, ""},
		{"userinfo and more doesn't", trusted, access.Request{Method: "GET", Path: "/services/oauth2/userinfo/x"}, "request_not_allowed"},
		{"frontdoor", trusted, access.Request{Method: "GET", Path: "/secur/frontdoor.jsp"}, "request_not_allowed"},
		{"setup/connect", trusted, access.Request{Method: "GET", Path: "/setup/connect"}, "request_not_allowed"},
		{"the Data Cloud token", trusted, access.Request{Method: "POST", Path: "/services/a360/token"}, "request_not_allowed"},
		{"consumer secrets", trusted, access.Request{Method: "GET", Path: data + "apps/oauth/credentials/1"}, "request_not_allowed"},
		{"consumer secrets in another case", trusted, access.Request{Method: "GET", Path: data + "Apps/OAuth/credentials"}, "request_not_allowed"},
		{"refresh tokens in use", trusted, access.Request{Method: "DELETE", Path: data + "apps/oauth/usage/1"}, "request_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refusal := access.NewPolicy(tt.client).Check(tt.r)
			if refusal == nil && tt.code != "" || refusal != nil && refusal.Code != tt.code {
				t.Errorf("got %v, want %q", refusal, tt.code)
			}
		})
	}
}

func TestReportModeNeverOpensCredentialPaths(t *testing.T) {
	p := access.NewPolicy(&registry.Client{Mode: registry.ModeReport, Methods: []string{"GET"}})
	if r := p.Check(access.Request{Method: "POST", Path: "/services/data/"}); !p.Reports() || r == nil || !r.Reportable {
		t.Errorf("a method: %+v", r)
	}
	if r := p.Check(access.Request{Method: "GET", Path: "/secur/frontdoor.jsp"}); r == nil || r.Reportable {
		t.Errorf("a credential path: %+v", r)
	}
}

func TestAPolicyCostsNoAllocation(t *testing.T) {
	p := access.NewPolicy(&registry.Client{Methods: []string{"GET"}, Paths: []string{"/services/data/"}})
	r := access.Request{Method: "GET", Path: "/services/data/v65.0/query", RawQuery: "q=SELECT+Id+FROM+Account"}
	if n := testing.AllocsPerRun(100, func() {
		if p.Check(r) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestScan(t *testing.T) {
	const data = "/services/data/v65.0/"
	for path, want := range map[string]bool{
		data + "composite":                   true,
		data + "composite/graph":             true,
		data + "jobs/query":                  true,
		data + "graphql":                     true,
		data + "graphql.json":                true,
		data + "parameterizedSearch/":        true,
		data + "sobjects/Account":            false,
		data + "jobs/ingest/750/batches":     false,
		"/services/async/65.0/job":           true,
		"/services/async/65.0/job/750/batch": false,
		"/services/apexrest/orders":          false,
		"/cometd/65.0":                       false,
	} {
		if got := access.NewPolicy(nil).NeedsScan(path); got != want {
			t.Errorf("NeedsScan(%s) = %v", path, got)
		}
	}
	for _, tt := range []struct {
		name, body string
		refused    bool
	}{
		{"a harmless body", `{"compositeRequest":[{"url":"/services/data/v65.0/query?q=SELECT+Id+FROM+Account"}]}`, false},
		{"a query on AuthSession", `{"url":"/services/data/v65.0/query?q=SELECT+Id+FROM+AuthSession"}`, true},
		{"with a JSON escape", `{"url":"query?q=SELECT+Id+FROM+\u0041uthSession"}`, true},
		{"with a percent-escape", `{"url":"query?q=SELECT+Id+FROM+%41uthSession"}`, true},
		{"with a JSON escape of a percent-escape", `{"url":"query?q=SELECT+Id+FROM+\u002541uthSession"}`, true},
		{"after an ampersand and a JSON escape", `{"url":"query?a=b&\u0041uthSession"}`, true},
		{"with an escaped backslash before it", `{"url":"\\u0041uthSession"}`, false},
		{"in XML with a character reference", `<object>&#65;uth&#x53;ession</object>`, true},
		{"after what only begins a character reference", "#&#\nAuthSession", true},
		{"in XML with leading zeros", `<object>&#x0000000041;uth&#00083;ession</object>`, true},
		{"within what is no reference", `&#12AuthSession`, true},
		{"after a percent sign that escapes nothing", `100%AuthSession`, true},
		{"behind a CDATA section", `<object>Auth<![CDATA[Session]]></object>`, true},
		{"on its way to an app's secrets with two slashes", `{"url":"/services/data/v65.0/apps//oauth/credentials"}`, true},
		{"on its way to an OAuth endpoint", `{"url":"/services/oauth2/singleaccess"}`, true},
		{"on its way to an app's secrets", `{"url":"\/services\/data\/v65.0\/apps\/oauth\/credentials"}`, true},
		{"executeAnonymous", `{"url":"/services/data/v65.0/tooling/executeAnonymous/?anonymousBody=x"}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := access.NewPolicy(nil).Scan(io.NopCloser(iotest.OneByteReader(strings.NewReader(tt.body))))
			got, err := io.ReadAll(body)
			var refusal *access.RefusalError
			if errors.As(err, &refusal) != tt.refused || (body.Refusal() != nil) != tt.refused {
				t.Fatalf("got %v", err)
			}
			if tt.refused == (len(got) == len(tt.body)) {
				t.Errorf("%d of %d bytes passed", len(got), len(tt.body))
			}
		})
	}
	t.Run("report mode reads on and tells", func(t *testing.T) {
		body := access.NewPolicy(&registry.Client{Mode: registry.ModeReport}).Scan(io.NopCloser(strings.NewReader("FROM OauthToken")))
		if _, err := io.ReadAll(body); err != nil || body.Refusal() == nil {
			t.Errorf("%v, %v", err, body.Refusal())
		}
	})
}
