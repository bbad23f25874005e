package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/tokens"
)

var (
	errNoSubject = errors.New("there is no token to ask about: nothing was sent")
	errNotClear  = errors.New("the answer doesn't say whether the token is active")
)

// Introspect implements [tokens.Exchanger] (RFC 7662; Salesforce Help, "OpenID
// Connect Token Introspection"). Only a whole 200 whose JSON has a boolean
// active is an answer; everything else is an error, which is silence. It ends
// with ctx, and after the exchange timeout at the latest.
//
// Salesforce says active: false of a token that is dead, of one that it doesn't
// know, and where the app may not ask.
func (x *Exchanger) Introspect(ctx context.Context, org tokens.OrgID, s tokens.Subject) (tokens.Liveness, error) {
	hint := "access_token"
	if s.Refresh {
		hint = "refresh_token"
	}
	m, err := x.ask(ctx, org, introspectPath, s, func(app App) url.Values {
		v := client(app)
		v.Set("token_type_hint", hint)
		return v
	})
	if err != nil {
		return tokens.Liveness{}, fmt.Errorf("introspection of the %s: %w", hint, err)
	}
	fields := membersOf(m)
	active := fields.byName["active"]
	if m.status != http.StatusOK {
		return tokens.Liveness{}, fmt.Errorf("introspection of the %s: %w", hint, refusal(m, fields))
	}
	if !fields.whole || active.isString || active.unclear || active.text != "true" && active.text != "false" {
		return tokens.Liveness{}, fmt.Errorf("introspection of the %s: %w", hint, errNotClear)
	}
	l := tokens.Liveness{Active: active.text == "true"}
	if exp := fields.byName["exp"]; !exp.isString && !exp.unclear {
		l.ExpiresAt = numericDate(json.Number(exp.text))
	}
	l.OrgID, l.UserID = identity(fields.value("sub"))
	return l, nil
}

// Revoke implements [tokens.Exchanger] (RFC 7009; Salesforce Help, "Revoke OAuth
// Tokens"). An access token ends alone, a refresh token with its access tokens;
// possession is all that Salesforce asks for. A token that Salesforce doesn't
// know, or no longer, is a [*tokens.Refusal] of [tokens.ClassDead] with the code
// invalid_token. Trying again is safe.
func (x *Exchanger) Revoke(ctx context.Context, org tokens.OrgID, s tokens.Subject) error {
	m, err := x.ask(ctx, org, revokePath, s, func(App) url.Values { return url.Values{} })
	if err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	if m.status == http.StatusOK {
		return nil
	}
	fields := membersOf(m)
	r := refusal(m, fields)
	if m.status == http.StatusBadRequest && fields.whole && r.Code == "invalid_token" {
		r.Class = tokens.ClassDead
	}
	return fmt.Errorf("revocation: %w", r)
}

// ask makes one request about s on a connection of its own. Unlike a token
// request it can be given up at any time: it spends nothing.
func (x *Exchanger) ask(ctx context.Context, org tokens.OrgID, path string, s tokens.Subject, params func(App) url.Values) (message, error) {
	if s.Token.IsZero() {
		return message{}, errNoSubject
	}
	l, err := x.connect(ctx, org)
	if err != nil {
		return message{}, err
	}
	defer l.conn.Close()
	v := params(l.app)
	v.Set("token", s.Token.Reveal())
	req, err := request(l.app, path, v)
	if err != nil {
		return message{}, l.fault(err, false)
	}
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stop()
	raw, sent, err := roundTrip(l.conn, req, earliest(ctx, x.timeout), ctx.Err)
	if ctx.Err() != nil && err != nil {
		return message{}, ctx.Err()
	}
	if err != nil {
		e := l.fault(err, sent)
		e.Temporary, e.Hint = true, "trying again is safe"
		return message{}, e
	}
	return open(raw), nil
}
