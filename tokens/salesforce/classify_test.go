package salesforce_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

const dead = `{"error":"invalid_grant","error_description":"expired access/refresh token"}`

func oauthError(code, description string) string {
	b, err := json.Marshal(map[string]string{"error": code, "error_description": description})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// The rows of the fact sheet's list of token endpoint errors.
func TestEachKnownRefusalHasItsClass(t *testing.T) {
	const (
		isDoubt         = tokens.ClassDoubt
		isRateLimited   = tokens.ClassRateLimited
		isBusy          = tokens.ClassBusy
		isMisconfigured = tokens.ClassMisconfigured
		isDead          = tokens.ClassDead
	)
	for _, c := range []struct {
		code, description string
		class             tokens.Class
	}{
		{"invalid_grant", "expired access/refresh token", isDead},
		{"invalid_grant", "token request is already being processed", isBusy},
		{"invalid_grant", "expired authorization code", isBusy},
		{"invalid_grant", "token validity expired", isDead},
		{"invalid_grant", "ip restricted", isMisconfigured},
		{"invalid_grant", "authentication failure", isDead},
		{"invalid_grant", "authentication failure - Invalid Password", isDead},
		{"invalid_grant", "user hasn't approved this consumer", isMisconfigured},
		{"invalid_grant", "audience is invalid", isMisconfigured},
		{"invalid_grant", "Audience validation failed", isMisconfigured},
		{"invalid_grant", "no client credentials user enabled", isMisconfigured},
		{"invalid_grant", "request not supported on this domain", isMisconfigured},
		{"invalid_grant", "invalid authorization code", isDoubt},
		{"invalid_grant", "inactive user", isMisconfigured},
		{"invalid_grant", "inactive organization", isMisconfigured},
		{"invalid_grant", "invalid assertion", isMisconfigured},
		{"inactive_user", "", isDead},
		{"inactive_user", "user is frozen", isDead},
		{"inactive_org", "", isDead},
		{"invalid_client_id", "client identifier invalid", isMisconfigured},
		{"invalid_client", "invalid client credentials", isMisconfigured},
		{"invalid_client_credentials", "", isMisconfigured},
		{"unsupported_grant_type", "grant type not supported", isMisconfigured},
		{"invalid_request", "must use HTTP POST", isMisconfigured},
		{"redirect_uri_mismatch", "redirect_uri must match configuration", isMisconfigured},
		{"OAUTH_APP_BLOCKED", "this app is blocked by admin", isMisconfigured},
		{"rate_limit_exceeded", "login rate exceeded", isRateLimited},
		{"authorization_pending", "", isDoubt},
		{"server_error", "retry your request", isDoubt},
		{"unknown_error", "retry your request", isDoubt},
		{"invalid_grant", "", isDoubt},
		{"invalid_grant", "something new", isDoubt},
		{"invalid_grant", "expired access/refresh token.", isDoubt},
		{"rate_limit_exceeded", "", isDoubt},
		{"rate_limit_exceeded", "expired access/refresh token", isDoubt},
		{"", "expired access/refresh token", isDoubt},
		{"  Invalid_Grant ", " EXPIRED access/refresh token\n", isDead},
	} {
		t.Run(c.code+" "+c.description, func(t *testing.T) {
			body := oauthError(c.code, c.description)
			form := url.Values{"error": {c.code}, "error_description": {c.description}}.Encode()
			xml := "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OAuth><error>" + c.code + "</error><error_description>" + c.description + "</error_description></OAuth>"
			for _, a := range []string{
				answer(400, "application/json", body), answer(401, "application/json", body), answer(429, "text/plain", body),
				answer(400, "application/xml", xml), answer(400, "application/x-www-form-urlencoded", form),
			} {
				_, err := salesforce.Parse(tokens.Answer(a))
				r := refused(t, err, c.class)
				if !strings.EqualFold(r.Code, strings.TrimSpace(c.code)) || r.Code != "" && !strings.EqualFold(r.Description, strings.TrimSpace(c.description)) {
					t.Errorf("refusal %+v", r)
				}
			}
		})
	}
}

func TestOnlyAWhole4xxOfOAuthIsARefusal(t *testing.T) {
	for name, a := range map[string]string{
		"a 500":                       answer(500, "application/json", dead),
		"a 503":                       answer(503, "application/json", dead),
		"a 420":                       answer(420, "application/json", dead),
		"a 302":                       answer(302, "application/json", dead),
		"a 200":                       answer(200, "application/json", dead),
		"a 201":                       answer(201, "application/json", success),
		"one that was cut":            strings.TrimSuffix(answer(400, "application/json", dead), "}"),
		"one of which framing lacks":  strings.Replace(answer(400, "application/json", dead), "Content-Length: ", "Content-Length: 1", 1),
		"one with more behind it":     answer(400, "application/json", dead+"{}"),
		"one in a list":               answer(400, "application/json", "["+dead+"]"),
		"a description of two minds":  answer(400, "application/json", `{"error":"invalid_grant","error_description":"expired access/refresh token","error_description":"ip restricted"}`),
		"a description that is none":  answer(400, "application/json", `{"error":"inactive_user","error_description":{}}`),
		"an error that is no string":  answer(400, "application/json", `{"error":["invalid_grant"],"error_description":"expired access/refresh token"}`),
		"other names":                 answer(400, "application/json", `{"Error":"invalid_grant","error_description":"expired access/refresh token"}`),
		"a refusal with a token":      answer(400, "application/json", `{"refresh_token":"5Aep","error":"invalid_grant","error_description":"expired access/refresh token"}`),
		"a page":                      answer(400, "text/html", "<html><error>invalid_grant</error><error_description>expired access/refresh token</error_description></html>"),
		"XML with more behind it":     answer(400, "application/xml", "<OAuth><error>inactive_user</error></OAuth><x/>"),
		"XML that was cut":            "HTTP/1.1 400 Bad\r\n\r\n<OAuth><error>inactive_user</error>",
		"urlencoded without an end":   "HTTP/1.1 400 Bad\r\n\r\nerror=inactive_user&error_description=expired",
		"an unknown encoding":         strings.Replace(answer(400, "application/json", dead), "\r\n", "\r\nContent-Encoding: br\r\n", 1),
		"a proxy's own":               answer(407, "text/plain", "Proxy Authentication Required"),
		"nothing":                     "",
		"no HTTP":                     "hello",
		"an interim response and EOF": "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			i, err := salesforce.Parse(tokens.Answer(a))
			wantClass(t, err, tokens.ClassDoubt)
			if i != (tokens.Issue{}) {
				t.Error("it has an issue")
			}
		})
	}
}

func issue(access, refresh string) tokens.Issue {
	return tokens.Issue{Access: secret.NewText(access), Refresh: secret.NewText(refresh), InstanceURL: "https://acme.my.salesforce.com",
		OrgID: "00DWt00000B2V4bMAF", UserID: "005Wt000004d0fNIAQ", IssuedAt: time.UnixMilli(1758701441120)}
}

func TestSuccessIsReadInAllFormats(t *testing.T) {
	var m map[string]string
	if err := json.Unmarshal([]byte(success), &m); err != nil {
		t.Fatal(err)
	}
	form, xml := url.Values{}, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OAuth>"
	for k, v := range m {
		form.Set(k, v)
		xml += "<" + k + ">" + v + "</" + k + ">"
	}
	want := issue("00DWt00000B2V4b!AQnew", "5Aep861new")
	for name, a := range map[string]string{
		"JSON":                    ok(success),
		"JSON in chunks":          chunked(success, ""),
		"JSON until the end":      "HTTP/1.1 200 OK\r\n\r\n" + success,
		"JSON in gzip":            zipped(success),
		"XML":                     answer(200, "application/xml", xml+"</OAuth>\n"),
		"urlencoded":              answer(200, "application/x-www-form-urlencoded", form.Encode()),
		"JSON with a wrong type":  answer(200, "text/html", "\n "+success+"\n"),
		"an interim answer first": "HTTP/1.1 100 Continue\r\n\r\n" + ok(success),
		"a trailing slash":        ok(strings.Replace(success, "salesforce.com\",", "salesforce.com/\",", 1)),
		"ids of 15 characters":    ok(strings.NewReplacer("MAF/", "/", "IAQ\"", "\"").Replace(success)),
		"issued_at as a number":   ok(strings.Replace(success, `"1758701441120"`, "1758701441120", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := salesforce.Parse(tokens.Answer(a))
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("issue %+v, want %+v; tokens equal: %t, %t", got, want, got.Access == want.Access, got.Refresh == want.Refresh)
			}
		})
	}
}

func TestAnOrgThatDoesNotRotateBringsNoRefreshToken(t *testing.T) {
	got, err := salesforce.Parse(tokens.Answer(ok(strings.Replace(success, `"refresh_token":"5Aep861new",`, "", 1))))
	if err != nil {
		t.Fatal(err)
	}
	if got != issue("00DWt00000B2V4b!AQnew", "") {
		t.Errorf("issue %+v", got)
	}
}

// Of a cut success the refresh token counts, and without it the answer doesn't
// pass for one of an org that doesn't rotate.
func TestWhatIsWholeOfACutSuccessCounts(t *testing.T) {
	whole := ok(success)
	end := strings.Index(whole, `5Aep861new"`) + len(`5Aep861new"`)
	access := strings.Index(whole, `AQnew"`) + len(`AQnew"`)
	for n := range whole {
		i, err := salesforce.Parse(tokens.Answer(whole[:n]))
		switch {
		case n >= end:
			if err != nil || i.Refresh.Reveal() != "5Aep861new" || i.Access.Reveal() != "00DWt00000B2V4b!AQnew" {
				t.Fatalf("cut after %d bytes: %v, %+v", n, err, i)
			}
		default:
			wantClass(t, err, tokens.ClassDoubt)
			if !i.Refresh.IsZero() || i.Access.IsZero() != (n < access) {
				t.Fatalf("cut after %d bytes: refresh %t, access %t", n, !i.Refresh.IsZero(), !i.Access.IsZero())
			}
		}
	}
	zip := zipped(strings.Repeat(" ", 4000) + success + strings.Repeat("\n", 4000))
	if i, err := salesforce.Parse(tokens.Answer(zip[:len(zip)-9])); err != nil || i.Refresh.Reveal() != "5Aep861new" {
		t.Errorf("cut gzip: %v", err)
	}
}

func TestASuccessThatIsNotClearIsADoubt(t *testing.T) {
	swap := func(old, new string) string { return ok(strings.Replace(success, old, new, 1)) }
	const refreshMember = `"refresh_token":"5Aep861new",`
	for name, a := range map[string]string{
		"an empty refresh token":              swap(refreshMember, `"refresh_token":"",`),
		"a null refresh token":                swap(refreshMember, `"refresh_token":null,`),
		"two refresh tokens":                  swap(refreshMember, refreshMember+`"refresh_token":"5Aep861other",`),
		"a refresh token with a space":        swap("5Aep861new", "5Aep 861new"),
		"a refresh token that isn't ASCII":    swap("5Aep861new", "5Aep861new\xff"),
		"no refresh token, cut":               strings.TrimSuffix(swap(refreshMember, ""), "}"),
		"no refresh token, more behind":       answer(200, "application/json", strings.Replace(success, refreshMember, "", 1)+"x"),
		"no refresh token, an error":          ok(strings.NewReplacer(refreshMember, "", `"token_type":"Bearer"`, `"error":"x"`).Replace(success)),
		"no tokens at all":                    ok("{}"),
		"no refresh token, plain http":        ok(strings.NewReplacer(refreshMember, "", "https://acme", "http://acme").Replace(success)),
		"no refresh token, no instance":       ok(strings.NewReplacer(refreshMember, "", `"instance_url":"https://acme.my.salesforce.com",`, "").Replace(success)),
		"no refresh token, instance at user@": ok(strings.NewReplacer(refreshMember, "", "https://acme", "https://u@acme").Replace(success)),
		"no refresh token, instance of paths": ok(strings.NewReplacer(refreshMember, "", "salesforce.com\",", "salesforce.com/x\",").Replace(success)),
		"no refresh token, no instance host":  ok(strings.NewReplacer(refreshMember, "", "https://acme.my.salesforce.com", "https://").Replace(success)),
	} {
		t.Run(name, func(t *testing.T) {
			i, err := salesforce.Parse(tokens.Answer(a))
			wantClass(t, err, tokens.ClassDoubt)
			if !i.Refresh.IsZero() {
				t.Error("it has a refresh token")
			}
		})
	}
}

func TestARefreshTokenIsTakenWhateverElseIsWrong(t *testing.T) {
	for name, a := range map[string]string{
		"a malformed instance":  ok(strings.Replace(success, "https://acme", "ftp://acme", 1)),
		"no access token":       ok(strings.Replace(success, `"access_token":"00DWt00000B2V4b!AQnew",`, "", 1)),
		"a malformed id":        ok(strings.Replace(success, "/id/", "/", 1)),
		"the same member twice": ok(strings.Replace(success, `"refresh_token":"5Aep861new",`, `"refresh_token":"5Aep861new","refresh_token":"5Aep861new",`, 1)),
		"garbage behind it":     answer(200, "application/json", success+"<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			i, err := salesforce.Parse(tokens.Answer(a))
			if err != nil || i.Refresh.Reveal() != "5Aep861new" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTheEndOfAJWTIsRead(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	exp := time.Unix(1900000000, 0)
	for name, c := range map[string]struct {
		access string
		want   time.Time
	}{
		"a number":             {part(`{"alg":"RS256"}`) + "." + part(`{"exp":1900000000}`) + ".c2ln", exp},
		"a fraction":           {"e30." + part(`{"exp":1900000000.7}`) + ".c2ln", exp},
		"none":                 {"e30." + part(`{}`) + ".c2ln", time.Time{}},
		"milliseconds":         {"e30." + part(`{"exp":1900000000000}`) + ".c2ln", time.Time{}},
		"no JSON":              {"e30." + part(`exp`) + ".c2ln", time.Time{}},
		"an opaque token":      {"00DWt00000B2V4b!AQ.x.y", time.Time{}},
		"a token of two parts": {"e30." + part(`{"exp":1900000000}`), time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := salesforce.Parse(tokens.Answer(ok(strings.Replace(success, "00DWt00000B2V4b!AQnew", c.access, 1))))
			if err != nil {
				t.Fatal(err)
			}
			if !i.ExpiresAt.Equal(c.want) {
				t.Errorf("end %v, want %v", i.ExpiresAt, c.want)
			}
		})
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"Retry-After: 30": 30 * time.Second, "Retry-After: -5": 0, "Retry-After: 999999": time.Hour, "Retry-After: soon": 0,
		"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT":                                        0,
		"Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT": time.Minute,
		"Date: Wed, 21 Oct 2026 07:29:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT": 0,
		"X: y": 0,
	} {
		t.Run(header, func(t *testing.T) {
			a := strings.Replace(answer(400, "application/json", oauthError("rate_limit_exceeded", "login rate exceeded")), "\r\n", "\r\n"+header+"\r\n", 1)
			_, err := salesforce.Parse(tokens.Answer(a))
			if r := refused(t, err, tokens.ClassRateLimited); r.RetryAfter != want {
				t.Errorf("%v, want %v", r.RetryAfter, want)
			}
		})
	}
}

func TestARefusalNeverEchoesATokenAndPrints(t *testing.T) {
	long := strings.Repeat("long words ", 60)
	for name, c := range map[string]struct{ code, description, want string }{
		"an access token":    {"invalid_grant", "bad 00DWt00000B2V4b!AQ.x_y here", "bad [redacted] here"},
		"a refresh token":    {"invalid_grant", "5Aep861x is spent", "[redacted] is spent"},
		"a code":             {"invalid_grant", "code=aPrxabc", "code=[redacted]"},
		"a long word":        {"invalid_grant", "x Zm9vYmFyYmF6cXV4cXV1eA== y", "x [redacted] y"},
		"control characters": {"invalid_grant", "a\x1b[31m\tb\r\nc\u202ed", "a [31m b c d"},
		"a long text":        {"invalid_grant", long, long[:200] + "…"},
		"a token at the cut": {"invalid_grant", long[:185] + " " + strings.Repeat("T", 30), long[:185] + " [redacted]"},
		"a token as code":    {"5Aep861" + strings.Repeat("x", 30), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := salesforce.Parse(tokens.Answer(answer(400, "application/json", oauthError(c.code, c.description))))
			r := refused(t, err, tokens.ClassDoubt)
			want := &tokens.Refusal{Status: 400, Code: "invalid_grant", Description: c.want}
			if c.code != "invalid_grant" {
				want.Code = "unrecognized"
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func ExampleParse() {
	_, err := salesforce.Parse(tokens.Answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 76\r\n\r\n" + dead))
	fmt.Println(err)
	// Output: the token endpoint answered 400 invalid_grant: expired access/refresh token
}
