package salesforce_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

func TestWhichGrantsAreSpentByTheirUse(t *testing.T) {
	for kind, want := range map[string]bool{
		salesforce.KindRefreshToken: true, salesforce.KindAuthorizationCode: true, salesforce.KindClientCredentials: false,
		"something new": true, "": true,
	} {
		if got := salesforce.SingleUse(kind); got != want {
			t.Errorf("%q: %t", kind, got)
		}
	}
}

func TestEachGrantSendsItsParameters(t *testing.T) {
	public := testApp()
	public.ClientSecret = secret.Text{}
	with := func(v url.Values) url.Values {
		v.Set("client_id", "3MVG9.client")
		v.Set("client_secret", "s3cret/+")
		return v
	}
	for name, c := range map[string]struct {
		app  salesforce.App
		cred tokens.Credential
		want url.Values
	}{
		"a refresh token": {testApp(), refresh(), with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"5Aep861old+token"}})},
		"of a public client": {public, refresh(),
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"5Aep861old+token"}, "client_id": {"3MVG9.client"}}},
		"client credentials": {testApp(), tokens.Credential{Kind: salesforce.KindClientCredentials}, with(url.Values{"grant_type": {"client_credentials"}})},
		"a code": {testApp(), salesforce.CodeCredential("aPrx=&1", "ver", "https://localhost/cb?x=1"),
			with(url.Values{"grant_type": {"authorization_code"}, "code": {"aPrx=&1"}, "code_verifier": {"ver"}, "redirect_uri": {"https://localhost/cb?x=1"}})},
	} {
		t.Run(name, func(t *testing.T) {
			v := serve(t, reply(ok(success)))
			l := connect(t, exchanger(t, v.listener.Addr().String(), v.roots, c.app, 0))
			if _, _, err := l.Send(t.Context(), c.cred, noGuard); err != nil {
				t.Fatal(err)
			}
			l.Close()
			_, got := v.seen()
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			form, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, form); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// RFC 7636, appendix B.
func TestTheChallengeIsThatOfTheRFC(t *testing.T) {
	if got := salesforce.Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("challenge %q", got)
	}
	a, b := salesforce.NewVerifier(), salesforce.NewVerifier()
	if len(a) != 43 || a == b {
		t.Errorf("verifiers %q and %q", a, b)
	}
}

func ExampleAuthorizeURL() {
	fmt.Println(salesforce.AuthorizeURL("https://login.salesforce.com", "3MVG9", "https://localhost/callback", "st4te",
		salesforce.Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), []string{"api", "refresh_token"}))
	// Output: https://login.salesforce.com/services/oauth2/authorize?client_id=3MVG9&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Flocalhost%2Fcallback&response_type=code&scope=api+refresh_token&state=st4te
}
