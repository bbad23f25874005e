package virtual

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// ParseRevoke reads a request to end a token: a form, or a query with GET (RFC 7009; the Mobile SDK's guide, "Revoking
// OAuth Tokens"). The answer to every one that can be read is 200 without a body, whatever the token, and nothing is
// ended: at Salesforce, possession of a token would be enough, and the grant is everybody's. It fails with
// invalid_request as [ParseToken] does, for another method or a body that can't be read, in the urlencoded form that
// jsforce expects here.
func ParseRevoke(r *http.Request) *Error {
	var err *Error
	if r.Method == http.MethodPost || r.Method == http.MethodGet {
		_, err = readParams(r)
	} else {
		err = invalid(codeInvalidRequest, "must use HTTP POST or GET")
	}
	if err != nil {
		err.Format = URLEncoded
	}
	return err
}

// ParseIntrospect reads a request to look at a token (RFC 7662, section 2.1) and returns the token if it has the shape of
// a placeholder, else the zero Text: no other token is taken out of a request. It fails with invalid_request as
// [ParseToken] does, and for a request without a token.
func ParseIntrospect(r *http.Request) (secret.Text, *Error) {
	if r.Method != http.MethodPost {
		return secret.Text{}, invalid(codeInvalidRequest, "must use HTTP POST")
	}
	p, err := readParams(r)
	switch {
	case err != nil:
		return secret.Text{}, err
	case !p.has("token"):
		return secret.Text{}, invalid(codeInvalidRequest, "the parameter token is missing: introspection needs one")
	case !IsPlaceholder(p["token"]) || len(p["token"]) > maxSize:
		return secret.Text{}, nil
	}
	return secret.NewText(p["token"]), nil
}

// Introspection is what is said of a placeholder that stands. All fields but the first may be zero, and are left out then.
type Introspection struct {
	// Active says that the client and the org exist, are enabled, and the claim's stamp is the present one.
	Active bool
	// Scope is space-separated.
	Scope string
	// ClientID names the client, by a name of sallyport's.
	ClientID string
	// Username is the org's user.
	Username string
	// Subject is the identity URL.
	Subject string
	// Expires is when calls with the placeholder will fail, where that is known.
	Expires time.Time
}

// Introspect returns the JSON answer for status 200 to [ParseIntrospect]'s token: what check says of its claim. Of a
// token that is no placeholder under this key, and of one that isn't active, it says {"active":false} and no more
// (RFC 7662, section 2.2).
func (p *Placeholders) Introspect(token secret.Text, check func(Claim) Introspection) (contentType string, body []byte) {
	contentType = "application/json;charset=UTF-8"
	claim, ok := p.Open(token.Reveal())
	if !ok {
		return contentType, []byte(`{"active":false}`)
	}
	i := check(claim)
	if !i.Active {
		return contentType, []byte(`{"active":false}`)
	}
	var f fields
	f.add("scope", i.Scope)
	f.add("client_id", i.ClientID)
	f.add("username", i.Username)
	f.add("sub", i.Subject)
	f.add("token_type", "access_token")
	body = append([]byte(`{"active":true,`), f.json()[1:]...)
	body = body[:len(body)-1]
	if !i.Expires.IsZero() {
		body = strconv.AppendInt(append(body, `,"exp":`...), i.Expires.Unix(), 10)
	}
	issued := strconv.FormatInt(claim.Issued.Unix(), 10)
	return contentType, append(body, `,"iat":`+issued+`,"nbf":`+issued+"}"...)
}
