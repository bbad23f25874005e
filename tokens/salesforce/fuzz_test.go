package salesforce_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// deadPairs are the only refusals that may call a token dead, written down a
// second time.
var deadPairs = map[string]bool{
	"invalid_grant expired access/refresh token":              true,
	"invalid_grant token validity expired":                    true,
	"invalid_grant authentication failure":                    true,
	"invalid_grant authentication failure - invalid password": true,
}

var leak = regexp.MustCompile(`00D[A-Za-z0-9]{12,15}!|5Aep|[A-Za-z0-9+/=_.!~%-]{20,}|[[:cntrl:]]`)

// FuzzParse holds Parse to its laws for any bytes whatever.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		ok(success), chunked(success[:50], success[50:], ""), zipped(success), "HTTP/1.1 100 Continue\r\n\r\n" + ok(success),
		answer(400, "application/json", dead), answer(500, "application/json", dead), answer(420, "text/html", "<html>"),
		answer(400, "application/xml", "<OAuth><error>inactive_user</error></OAuth>"),
		answer(400, "application/x-www-form-urlencoded", "error=invalid_grant&error_description=ip+restricted"),
		answer(429, "application/json", oauthError("rate_limit_exceeded", "login rate exceeded")),
		ok(`{"access_token":"e30.eyJleHAiOjE5MDAwMDAwMDB9.c2ln"`),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, err := salesforce.Parse(raw)
		if err == nil {
			if i.Access.IsZero() && i.Refresh.IsZero() {
				t.Fatal("an issue without a token")
			}
			if i.Refresh.IsZero() && !strings.HasPrefix(i.InstanceURL, "https://") {
				t.Fatal("it says that the org doesn't rotate and doesn't look like Salesforce's")
			}
			return
		}
		r, isRefusal := errors.AsType[*tokens.Refusal](err)
		if !isRefusal {
			t.Fatalf("error is %T", err)
		}
		if !i.Refresh.IsZero() {
			t.Fatal("a refresh token beside an error")
		}
		if r.Class == tokens.ClassDead {
			pair := strings.ToLower(r.Code + " " + r.Description)
			known := deadPairs[pair] || r.Code == "inactive_user" || r.Code == "inactive_org"
			if !known || r.Status < 400 || r.Status > 499 || r.Status == 420 {
				t.Fatalf("dead: %+v", r)
			}
		}
		if r.Class != tokens.ClassDoubt && (r.Status < 400 || r.Status > 499 || r.Status == 420) {
			t.Fatalf("a refusal that is none: %+v", r)
		}
		if r.RetryAfter < 0 || len(r.Description) > 1000 || leak.MatchString(strings.ReplaceAll(r.Description, "[redacted]", " ")) || leak.MatchString(r.Code) && r.Code != "" && len(r.Code) > 64 {
			t.Fatalf("not fit to print: %+q", r)
		}
	})
}

// FuzzRefusal compares the classes of well-formed bodies with a plain decoder.
func FuzzRefusal(f *testing.F) {
	f.Add(400, "invalid_grant", "expired access/refresh token")
	f.Add(401, "invalid_grant", "ip restricted")
	f.Add(400, "INACTIVE_USER", "")
	f.Add(404, "x", "00DWt00000B2V4b!AQ")
	f.Fuzz(func(t *testing.T, status int, code, description string) {
		if status < 100 || status > 999 {
			return
		}
		body := oauthError(code, description)
		var back map[string]string
		if err := json.Unmarshal([]byte(body), &back); err != nil {
			t.Fatal(err)
		}
		_, err := salesforce.Parse([]byte(answer(status, "application/json", body)))
		r, isRefusal := errors.AsType[*tokens.Refusal](err)
		if !isRefusal {
			t.Fatalf("error is %T %v", err, err)
		}
		code = strings.ToLower(strings.TrimSpace(back["error"]))
		pair := code + " " + strings.ToLower(strings.TrimSpace(back["error_description"]))
		refuses := status >= 400 && status <= 499 && status != 420
		if want := refuses && (deadPairs[pair] || code == "inactive_user" || code == "inactive_org"); want != (r.Class == tokens.ClassDead) {
			t.Fatalf("%d %q: %+v", status, pair, r)
		}
	})
}
