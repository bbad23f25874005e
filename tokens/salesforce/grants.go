package salesforce

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// The kinds of a grant, as [tokens.Credential] has them.
const (
	KindRefreshToken      = "refresh_token"
	KindClientCredentials = "client_credentials"
	KindAuthorizationCode = "authorization_code"
)

// kind says how a credential is traded.
type kind struct {
	grantType string
	singleUse bool
	// fill adds the credential's own parameters.
	fill func(url.Values, string) error
}

var kinds = map[string]kind{
	// RFC 6749, section 6. Always taken as single-use, whether the org rotates
	// or not.
	KindRefreshToken: {"refresh_token", true, fillRefresh},
	// RFC 6749, section 4.4. The app's own credentials are the grant.
	KindClientCredentials: {"client_credentials", false, fillNothing},
	// RFC 6749, section 4.1.3, and RFC 7636, section 4.5.
	KindAuthorizationCode: {"authorization_code", true, fillCode},
}

// SingleUse reports whether trading a credential of this kind destroys it. An
// unknown kind is taken to be.
func SingleUse(name string) bool {
	k, ok := kinds[name]
	return !ok || k.singleUse
}

var (
	errUnknownKind = errors.New("the grant's kind is unknown to this sallyport: nothing was sent")
	errNoSecret    = errors.New("the credential is empty: nothing was sent")
	errBadCode     = errors.New("the credential holds no authorization code: nothing was sent")
)

// form returns the parameters of a token request. Client and credential travel
// in the body (RFC 6749, section 2.3.1), a secret only where the app has one:
// Salesforce checks what is sent even where it asks for none.
func form(app App, c tokens.Credential) (url.Values, error) {
	k, ok := kinds[c.Kind]
	if !ok {
		return nil, errUnknownKind
	}
	v := client(app)
	v.Set("grant_type", k.grantType)
	return v, k.fill(v, c.Secret.Reveal())
}

func client(app App) url.Values {
	v := url.Values{"client_id": {app.ClientID}}
	if !app.ClientSecret.IsZero() {
		v.Set("client_secret", app.ClientSecret.Reveal())
	}
	return v
}

func fillNothing(url.Values, string) error { return nil }

func fillRefresh(v url.Values, token string) error {
	if token == "" {
		return errNoSecret
	}
	v.Set("refresh_token", token)
	return nil
}

func fillCode(v url.Values, encoded string) error {
	c, err := url.ParseQuery(encoded)
	if err != nil || c.Get("code") == "" {
		return errBadCode // without err, which quotes
	}
	for _, name := range []string{"code", "code_verifier", "redirect_uri"} {
		if s := c.Get(name); s != "" {
			v.Set(name, s)
		}
	}
	return nil
}

// CodeCredential returns the credential of an authorization code: the code from
// the redirect, the verifier of [NewVerifier], and the very redirect URI that
// the authorize URL named.
func CodeCredential(code, verifier, redirectURI string) tokens.Credential {
	v := url.Values{"code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
	return tokens.Credential{Kind: KindAuthorizationCode, SingleUse: true, Secret: secret.NewText(v.Encode())}
}

// AuthorizeURL returns the URL at which a person authorises the app (RFC 6749,
// section 4.1.1; RFC 7636, section 4.3). loginURL is https://HOST, challenge
// comes from [Challenge]. Without scopes Salesforce grants all of the app's; a
// refresh token comes only with "refresh_token" or "offline_access".
func AuthorizeURL(loginURL, clientID, redirectURI, state, challenge string, scopes []string) string {
	v := url.Values{
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"state":                 {state},
		"code_challenge":        {challenge},
		"code_challenge_method": {"S256"},
	}
	if len(scopes) > 0 {
		v.Set("scope", strings.Join(scopes, " "))
	}
	return strings.TrimSuffix(loginURL, "/") + authorizePath + "?" + v.Encode()
}

// NewVerifier returns a fresh PKCE verifier of 256 random bits in 43 characters
// (RFC 7636, section 4.1).
func NewVerifier() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Challenge returns the S256 challenge of a verifier (RFC 7636, section 4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
