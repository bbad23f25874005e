// Package salesforce speaks OAuth to Salesforce: it trades credentials for
// access tokens, reads what the token endpoint answers, introspects and
// revokes. Its [Exchanger] is a [tokens.Exchanger].
//
// Each request has a connection of its own and is written once. Nothing is
// retried, redialled or redirected, because a refresh token that is sent twice
// ends the grant (RFC 6749, section 6; Salesforce Help, "OAuth 2.0 Refresh
// Token Flow for Renewed Sessions", on rotation). That rules out net/http's
// client, which serves here only to format requests and to parse answers.
package salesforce

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// The paths of Salesforce's OAuth endpoints (Salesforce Help, "OAuth
// Endpoints").
const (
	tokenPath      = "/services/oauth2/token"
	introspectPath = "/services/oauth2/introspect"
	revokePath     = "/services/oauth2/revoke"
	authorizePath  = "/services/oauth2/authorize"
)

// defaultTimeout is generous, since a timeout is a doubt.
const defaultTimeout = time.Minute

// App is the app and the endpoint that an org's grant belongs to.
type App struct {
	ClientID     string
	ClientSecret secret.Text // empty: a public client, which must not send one
	TokenHost    string      // where the OAuth endpoints are, a lower-case host name
	TokenPort    uint16      // zero: 443
	Source       netip.Addr  // the local address to leave by; zero: the dialer chooses
}

// Apps says which app and endpoint an org has. Implementations may be called by
// several goroutines at once.
type Apps interface {
	// App returns org's app; false where the org isn't registered.
	App(org tokens.OrgID) (App, bool)
}

// Conn is a TLS connection that knows whether application data was given to
// the kernel.
type Conn interface {
	net.Conn
	// Wrote reports whether a byte may have left. False is certain.
	Wrote() bool
}

// Dialer opens connections for the OAuth endpoints.
type Dialer interface {
	// DialTLS connects for org to host and port, TLS done with ALPN http/1.1
	// and nothing sent. It doesn't promise that the server goes on listening.
	// When it fails, nothing was sent.
	DialTLS(ctx context.Context, org tokens.OrgID, source netip.Addr, host string, port uint16) (Conn, error)
}

// Options of an [Exchanger].
type Options struct {
	Dialer Dialer // required
	Apps   Apps   // required
	// ExchangeTimeout bounds each request, from its first byte written to the
	// last byte of its answer. Zero: a minute.
	ExchangeTimeout time.Duration
}

// Exchanger is a [tokens.Exchanger]. It keeps no state between requests and is
// safe for concurrent use.
type Exchanger struct {
	dialer  Dialer
	apps    Apps
	timeout time.Duration
}

var _ tokens.Exchanger = (*Exchanger)(nil)

// New checks o and returns an Exchanger.
func New(o Options) (*Exchanger, error) {
	switch {
	case o.Dialer == nil:
		return nil, errors.New("salesforce: Options.Dialer is required")
	case o.Apps == nil:
		return nil, errors.New("salesforce: Options.Apps is required")
	case o.ExchangeTimeout < 0:
		return nil, errors.New("salesforce: Options.ExchangeTimeout is negative")
	case o.ExchangeTimeout == 0:
		o.ExchangeTimeout = defaultTimeout
	}
	return &Exchanger{dialer: o.Dialer, apps: o.Apps, timeout: o.ExchangeTimeout}, nil
}

// Connect implements [tokens.Exchanger]. It fails with a [*tokens.Error]:
// nothing was sent.
func (x *Exchanger) Connect(ctx context.Context, org tokens.OrgID) (tokens.Line, error) {
	l, err := x.connect(ctx, org)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (x *Exchanger) connect(ctx context.Context, org tokens.OrgID) (*line, error) {
	app, ok := x.apps.App(org)
	if !ok {
		return nil, &tokens.Error{Org: org, Code: tokens.CodeMisconfigured, What: "the org is not registered, so its app is not known",
			Hint: "apply it again with sallyport apply"}
	}
	if app.TokenPort == 0 {
		app.TokenPort = 443
	}
	conn, err := x.dialer.DialTLS(ctx, org, app.Source, app.TokenHost, app.TokenPort)
	if err != nil {
		return nil, dialError(org, app, err)
	}
	return &line{org: org, app: app, conn: conn, timeout: x.timeout}, nil
}
