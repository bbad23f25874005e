package proxy_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

const form = "application/x-www-form-urlencoded"

// tampered is s with another character at its end.
func tampered(s string) string {
	last := "A"
	if strings.HasSuffix(s, last) {
		last = "B"
	}
	return s[:len(s)-1] + last
}

// A client with an OAuth of its own is answered here, on every host of its org.
func TestVirtualTokenEndpoint(t *testing.T) {
	var calls atomic.Int32
	e := start(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	refresh := "grant_type=refresh_token&refresh_token=dummy&client_id=x&client_secret=y"
	for _, p := range protocols {
		c := e.client("billing", p)
		for _, host := range []string{acme, "login.salesforce.com", "test.salesforce.com"} {
			at := "https://" + host + "/services/oauth2/"
			r := do(t, c, "POST", at+"token", strings.NewReader(refresh), "Content-Type", form)
			var got struct {
				AccessToken string `json:"access_token" xml:"access_token"`
				InstanceURL string `json:"instance_url" xml:"instance_url"`
				ID          string `json:"id" xml:"id"`
			}
			if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" ||
				got.InstanceURL != "https://acme.my.salesforce.com" || got.ID != "https://login.salesforce.com/id/"+orgID+"/"+userID ||
				!strings.HasPrefix(got.AccessToken, orgID+"!") {
				t.Errorf("%s %s: %d %s", p, host, r.StatusCode, r.body)
			}
			held := got.AccessToken
			if r := do(t, c, "POST", at+"introspect", strings.NewReader("token="+url.QueryEscape(held)), "Content-Type", form); !strings.Contains(r.body, `"active":true`) {
				t.Errorf("%s: %s", host, r.body)
			}
			for name, token := range map[string]string{"foreign": "00D000000000001!x", "stale": tampered(held)} {
				if r := do(t, c, "POST", at+"introspect", strings.NewReader("token="+url.QueryEscape(token)), "Content-Type", form); r.body != `{"active":false}` {
					t.Errorf("%s: %s", name, r.body)
				}
			}
			if r := do(t, e.client("both+acme", p), "POST", at+"introspect", strings.NewReader("token="+url.QueryEscape(held)), "Content-Type", form); r.body != `{"active":false}` {
				t.Errorf("another client's: %s", r.body)
			}
			if r := do(t, c, "POST", at+"revoke", strings.NewReader("token="+url.QueryEscape(held)), "Content-Type", form); r.StatusCode != 200 || r.body != "" {
				t.Errorf("revoke: %d %s", r.StatusCode, r.body)
			}
			if r := do(t, c, "GET", at+"revoke?token=x", nil); r.StatusCode != 200 {
				t.Errorf("revoke by GET: %d %s", r.StatusCode, r.body)
			}
			r = do(t, c, "POST", at+"token?"+refresh+"&format=xml", nil)
			if xml.Unmarshal([]byte(r.body), &got) != nil || got.AccessToken == "" {
				t.Errorf("xml: %d %s", r.StatusCode, r.body)
			}
			r = do(t, c, "POST", at+"token", strings.NewReader(refresh), "Content-Type", form, "Accept", form)
			if v, err := url.ParseQuery(r.body); err != nil || v.Get("access_token") == "" {
				t.Errorf("urlencoded: %d %s", r.StatusCode, r.body)
			}
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
				if r := do(t, c, method, at+"token", nil); r.StatusCode != 400 || method != "HEAD" && !strings.Contains(r.body, `"error":"invalid_request"`) {
					t.Errorf("%s: %d %s", method, r.StatusCode, r.body)
				}
			}
		}
	}
	ask := func(c *http.Client, host string) result {
		return do(t, c, "POST", "https://"+host+"/services/oauth2/token", strings.NewReader(refresh), "Content-Type", form)
	}
	if r := ask(e.client("both", ""), "login.salesforce.com"); r.StatusCode != 400 || r.Header.Get("Sallyport-Error") != "org_ambiguous" || !strings.Contains(r.body, "SALLYPORT_ORG_AMBIGUOUS") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := ask(e.client("both+acme-too", ""), "login.salesforce.com"); r.StatusCode != 200 || !strings.Contains(r.body, "https://acme-too.my") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	e.tokens.set(&tokens.Error{Code: tokens.CodeReauthRequired}, time.Time{})
	if r := ask(e.client("billing", ""), acme); r.StatusCode != 502 || !strings.Contains(r.body, `"error":"server_error"`) || !strings.Contains(r.body, "SALLYPORT_REAUTH_REQUIRED") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("Salesforce saw %d requests", n)
	}
}
