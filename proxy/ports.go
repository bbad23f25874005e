package proxy

import (
	"context"
	"net"
	"net/http"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// Tokens hands out access tokens. [*tokens.Broker] is one. Its errors are a [*tokens.Error], or the context's.
//
// Not promised: that a token still lives when it is used.
type Tokens interface {
	// Token returns a token that is believed to live; it may wait for an exchange.
	Token(ctx context.Context, org tokens.OrgID) (tokens.Token, error)
	// Lasting is Token for a request whose body can't be sent again: one that is believed to be near its end is looked at
	// first.
	Lasting(ctx context.Context, org tokens.OrgID) (tokens.Token, error)
	// Replace returns another token than refused, which Salesforce no longer takes.
	Replace(ctx context.Context, org tokens.OrgID, refused tokens.Token) (tokens.Token, error)
	// Used says that a call with t succeeded. It is cheap and never waits.
	Used(org tokens.OrgID, t tokens.Token)
}

// Upstream is the way out. Errors may be those of internal/egress or a [*tokens.Error].
type Upstream interface {
	// RoundTripper returns the way to Salesforce for org. It must not follow redirects, decompress, or add headers,
	// and takes gRPC by HTTP/2.
	RoundTripper(org tokens.OrgID) http.RoundTripper
	// DialTunnel connects to hostport for a passthrough tunnel of the client of that name.
	DialTunnel(ctx context.Context, clientName, hostport string) (net.Conn, error)
}

// Registry is the live registry. [*registry.Registry] is one.
type Registry interface {
	Snapshot() *registry.Snapshot
	Subscribe(fn func()) (cancel func())
}
