package virtual

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
)

// Grant is a value of grant_type that is answered.
type Grant string

// The grants that clients post to Salesforce.
const (
	GrantRefreshToken      Grant = "refresh_token"
	GrantAuthorizationCode Grant = "authorization_code"
	GrantClientCredentials Grant = "client_credentials"
	GrantPassword          Grant = "password"
	GrantJWTBearer         Grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantSAML2Bearer       Grant = "urn:ietf:params:oauth:grant-type:saml2-bearer"
	GrantTokenExchange     Grant = "urn:ietf:params:oauth:grant-type:token-exchange"
	// GrantHybridRefresh is the Mobile SDK's. It is answered as [GrantRefreshToken] is: without sessions of the UI.
	GrantHybridRefresh Grant = "hybrid_refresh"
)

// PlaceholderRefreshToken is the refresh token that every client gets that expects one. It is no secret and opens
// nothing: whatever is posted in its place is answered alike.
const PlaceholderRefreshToken = "5Aep861sallyport.placeholder.not.a.secret"

// refreshes reports whether Salesforce's answer to g can have a refresh token. A client that overwrites what it keeps
// with what it gets must get one, or it keeps nothing.
func (g Grant) refreshes() bool {
	return g == GrantRefreshToken || g == GrantAuthorizationCode || g == GrantHybridRefresh
}

// TokenRequest is what is kept of a request for a token.
type TokenRequest struct {
	Grant  Grant
	Format Format
	// Name and Secret are what the client says who it is by: client_id and client_secret, of Basic or of parameters; for
	// the password grant username and password. They are dummies, unless nothing else says who calls.
	Name   string
	Secret secret.Text
}

// ParseToken reads a request to the token endpoint: parameters of the query, an urlencoded and a multipart body merged,
// the client identified by parameters or by Basic (RFC 6749, section 2.3.1). It asks for the parameters that the grant's
// RFC requires and takes any value for them; a JWT bearer's assertion must have an issuer and a subject (RFC 7523).
// Where the client is identified matters to no grant on any host: the caller knows who calls.
//
// It fails with OAuth's codes: invalid_request for another method than POST, a body that is compressed, of another type
// or beyond 64 KiB or 64 parameters, a missing parameter or one that is there twice with different values;
// unsupported_grant_type for grants that need a person, give sessions of the UI, or aren't known; invalid_client for a
// Basic that can't be read; invalid_grant for an assertion that can't; temporarily_unavailable (503) when the body ended
// early. It reads at most 64 KiB of the body and doesn't close it.
func ParseToken(r *http.Request) (TokenRequest, *Error) {
	format := acceptFormat(r.Header.Values("Accept"))
	if r.Method != http.MethodPost {
		e := invalid(codeInvalidRequest, "must use HTTP POST")
		e.Format = format
		return TokenRequest{}, e
	}
	p, err := readParams(r)
	if f, ok := parameterFormat(p["format"]); ok {
		format = f
	}
	var grant Grant
	if err == nil {
		grant, err = p.grant(r)
	}
	if err != nil {
		err.Format = format
		return TokenRequest{}, err
	}
	t := TokenRequest{Grant: grant, Format: format}
	t.Name, t.Secret = p.caller(r, grant)
	return t, nil
}

// caller is who the client says that it is.
func (p params) caller(r *http.Request, grant Grant) (string, secret.Text) {
	if grant == GrantPassword {
		return p["username"], secret.NewText(p["password"])
	}
	if user, password, ok := r.BasicAuth(); ok {
		return user, secret.NewText(password)
	}
	return p["client_id"], secret.NewText(p["client_secret"])
}

// requirements are the parameters that a grant needs beside the client's identity.
var requirements = map[Grant][]string{
	GrantRefreshToken:      {"refresh_token"},                       // RFC 6749, section 6
	GrantHybridRefresh:     {"refresh_token"},                       // Mobile SDK, OAuth2.java
	GrantAuthorizationCode: {"code"},                                // RFC 6749, section 4.1.3
	GrantClientCredentials: {},                                      // RFC 6749, section 4.4.2
	GrantPassword:          {"username", "password"},                // RFC 6749, section 4.3.2
	GrantJWTBearer:         {"assertion"},                           // RFC 7523, section 2.1
	GrantSAML2Bearer:       {"assertion"},                           // RFC 7522, section 2.1
	GrantTokenExchange:     {"subject_token", "subject_token_type"}, // RFC 8693, section 2.1
}

const (
	deviceFlow = "the device flow needs a person's approval, and sallyport holds the org's grant already: configure the " +
		"client for refresh_token or client_credentials, with any values"
	hybridFlow = "this grant gives sessions of the user interface, which sallyport lets no client have: configure the " +
		"client for refresh_token or client_credentials, with any values"
	otherFlow = "grant type not supported: use refresh_token, authorization_code, client_credentials, password, " +
		"hybrid_refresh, or the URN of jwt-bearer, saml2-bearer or token-exchange, with any values"
)

// grant checks p as a request for a token and returns its grant.
func (p params) grant(r *http.Request) (Grant, *Error) {
	posted, device := p["grant_type"], p["response_type"] == "device_code"
	grant := Grant(posted)
	required, known := requirements[grant]
	switch {
	case posted == "" && !device:
		return "", invalid(codeInvalidRequest, "the parameter grant_type is missing: a token request needs one, and any "+
			"values for what that grant requires")
	case posted == "" || posted == "device":
		return "", invalid(codeUnsupportedGrant, deviceFlow)
	case posted == "hybrid_auth_code" || posted == "hybrid_token":
		return "", invalid(codeUnsupportedGrant, hybridFlow)
	case !known:
		return "", invalid(codeUnsupportedGrant, otherFlow)
	case !p.has(required...):
		return "", invalid(codeInvalidRequest, "a required parameter is missing: "+string(grant)+" needs "+
			strings.Join(required, " and ")+"; any value will do")
	}
	if err := p.client(r, grant); err != nil {
		return "", err
	}
	if grant == GrantJWTBearer && !assertable(p["assertion"]) {
		return "", invalid(codeInvalidGrant, "invalid assertion: it must be a signed JWT whose claims have iss and sub; "+
			"any key will do")
	}
	return grant, nil
}

// client checks that the client says who it is, where its grant requires that.
func (p params) client(r *http.Request, grant Grant) *Error {
	id, secret := p.has("client_id"), p.has("client_secret")
	if authorization := r.Header.Values("Authorization"); len(authorization) > 0 && isBasic(authorization[0]) {
		user, password, ok := r.BasicAuth()
		if !ok || len(authorization) > 1 {
			return invalid(codeInvalidClient, "the Authorization header can't be read: send Basic with the base64 of "+
				"client_id:client_secret, or both as parameters; any values will do")
		}
		id, secret = id || user != "", secret || password != ""
	}
	asserted := p.has("client_assertion")
	switch {
	case grant == GrantAuthorizationCode && !id && !asserted:
		return invalid(codeInvalidRequest, "a required parameter is missing: authorization_code needs client_id; any value "+
			"will do")
	case grant == GrantClientCredentials && !(id && secret) && !asserted:
		return invalid(codeInvalidRequest, "a required parameter is missing: client_credentials needs client_id and "+
			"client_secret, as parameters or as Basic; any values will do")
	}
	return nil
}

func isBasic(authorization string) bool {
	scheme, _, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	return strings.EqualFold(scheme, "Basic")
}
