package access_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/access"
)

func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ name, escaped, path, send string }{
		{"a plain path stays", "/services/data/v65.0/query", "/services/data/v65.0/query", ""},
		{"the root stays", "/", "/", ""},
		{"a slash at the end stays", "/services/data/", "/services/data/", ""},
		{"double slashes are folded", "//services///data//v65.0/", "/services/data/v65.0/", ""},
		{"an escape is decoded once and sent as it came", "/a/b%20c", "/a/b c", "/a/b%20c"},
		{"a needless escape too", "/services/oauth2/%74oken", "/services/oauth2/token", "/services/oauth2/%74oken"},
		{"a percent sign of its own", "/x/50%25", "/x/50%", "/x/50%25"},
		{"dots inside a segment", "/data/v65.0/..x/x../a.b", "/data/v65.0/..x/x../a.b", ""},
		{"UTF-8", "/x/%C3%A9", "/x/é", "/x/%C3%A9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.send == "" {
				tt.send = tt.path
			}
			path, send, refusal := access.Canonical(tt.escaped)
			if refusal != nil || path != tt.path || send != tt.send {
				t.Errorf("got %q, %q, %v", path, send, refusal)
			}
		})
	}
	for name, escaped := range map[string]string{
		"no path":                        "",
		"an asterisk":                    "*",
		"no leading slash":               "services/data",
		"a dot segment":                  "/services/./data",
		"two dots":                       "/services/../secur/frontdoor.jsp",
		"two dots at the end":            "/services/..",
		"encoded dots":                   "/services/%2e%2E/secur",
		"dots after a doubled slash":     "//../secur",
		"an encoded slash":               "/services%2Foauth2/token",
		"an encoded slash, lower-case":   "/services%2foauth2/token",
		"a backslash":                    `/services\oauth2`,
		"an encoded backslash":           "/services%5coauth2",
		"a path parameter":               "/services/oauth2/token;x=y",
		"an encoded semicolon":           "/services/oauth2/token%3Bx",
		"a NUL":                          "/services/%00",
		"a line break":                   "/services/%0d%0a",
		"a bad escape":                   "/services/%zz",
		"a cut escape":                   "/services/%2",
		"a slash that is encoded twice":  "/services/%252Foauth2",
		"dots that are encoded twice":    "/services/%252e%252e/secur",
		"a letter that is encoded twice": "/services/%256fauth2/token",
		"a percent sign encoded twice":   "/services/%2525",
		"a fragment":                     "/services/data#x",
		"a space":                        "/services/ data",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if path, _, refusal := access.Canonical(escaped); refusal == nil || refusal.Code != access.BadRequest {
				t.Errorf("got %q, %v", path, refusal)
			}
		})
	}
}

func TestACanonicalPathCostsNoAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _, _ = access.Canonical("/services/data/v65.0/sobjects/Account/001") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/", "/a//b", "/a%2fb", "/%252e%252e/", "/a/../b", "/a;b", "/%C3%A9", "/a%00", "//%2e/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		path, send, refusal := access.Canonical(escaped)
		if refusal != nil {
			return
		}
		if again, _, r := access.Canonical(send); r != nil || again != path {
			t.Fatalf("%q is sent as %q, which is judged as %q, %v, not as %q", escaped, send, again, r, path)
		}
		u, err := url.ParseRequestURI("https://h" + send)
		if err != nil || u.Path != path || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is judged as %q but sent as %+v, %v", escaped, path, u, err)
		}
		if strings.Contains(path, "//") || strings.ContainsAny(path, "\\;\x00") || path[0] != '/' {
			t.Fatalf("%q became %q", escaped, path)
		}
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q became %q", escaped, path)
			}
		}
		once, err := url.PathUnescape(path)
		if err == nil && strings.Count(once, "/") != strings.Count(path, "/") {
			t.Fatalf("%q decodes once more to other segments: %q", path, once)
		}
	})
}
