package virtual_test

import (
	"testing"

	"github.com/sallyport/sallyport/proxy/virtual"
)

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		want       virtual.Kind
	}{
		{"the token endpoint", "/services/oauth2/token", virtual.Token},
		{"in any letter case", "/Services/OAuth2/TOKEN", virtual.Token},
		{"revocation", "/services/oauth2/revoke", virtual.Revoke},
		{"introspection", "/services/oauth2/introspect", virtual.Introspect},
		{"what lies below it is not it", "/services/oauth2/token/x", 0},
		{"nor with a slash at its end", "/services/oauth2/token/", 0},
		{"nor a longer name", "/services/oauth2/tokens", 0},
		{"authorize is refused by others", "/services/oauth2/authorize", 0},
		{"singleaccess too", "/services/oauth2/singleaccess", 0},
		{"userinfo passes", "/services/oauth2/userinfo", 0},
		{"the folder", "/services/oauth2", 0},
		{"a letter that only folds to one of its own", "/services/oauth2/to\u212aen", 0},
		{"a long s", "/\u017fervices/oauth2/token", 0},
		{"no path", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := virtual.Endpoint(tt.path); got != tt.want || ok != (tt.want != 0) {
				t.Errorf("got %v, %t", got, ok)
			}
		})
	}
}

func TestKindsHaveNames(t *testing.T) {
	got := []string{virtual.Token.String(), virtual.Revoke.String(), virtual.Introspect.String(), virtual.Kind(0).String()}
	for i, want := range []string{"token", "revoke", "introspect", "none"} {
		if got[i] != want {
			t.Errorf("got %q instead of %q", got[i], want)
		}
	}
}
