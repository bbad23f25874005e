package registry

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Grant kinds of an org.
const (
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// Modes of a client: a refusal by policy is enforced or only reported.
const (
	ModeEnforce = "enforce"
	ModeReport  = "report"
)

// TracesTrusted is the value of [Client.Traces] that lets the client's traceparent be a parent, not only a link.
const TracesTrusted = "trusted"

// Values of [Client.Allow]: what is refused to a client that doesn't name it.
const (
	AllowExecuteAnonymous = "executeAnonymous" // Tooling's executeAnonymous.
	AllowApexSOAP         = "apexSoap"         // The Apex SOAP API.
	AllowAuthSession      = "AuthSession"      // SOQL on the object AuthSession.
	AllowOauthToken       = "OauthToken"       // SOQL on the object OauthToken.
)

// App is an External Client App. Disabled is set by a pruning apply and taken back when the app is applied again; no
// enabled org ever has a disabled app.
type App struct {
	Name         string      `json:"name"`
	ClientID     string      `json:"clientId"`
	ClientSecret secret.Text `json:"-"`
	Disabled     bool        `json:"disabled,omitempty"`
}

// Org is one Salesforce org with one grant.
type Org struct {
	Name string `json:"name"`
	// App is the name of the org's app.
	App string `json:"app"`
	// LoginURL is https://HOST or, for a foreign host, https://HOST:PORT; lower-case, without a slash at its end.
	LoginURL string `json:"loginUrl"`
	// Hosts are exact lower-case names. Empty: the login URL's host and the instance URL's, see
	// [Registry.SetInstanceHost].
	Hosts []string `json:"hosts,omitempty"`
	// Grant is [GrantRefreshToken] or [GrantClientCredentials].
	Grant string `json:"grant"`
	// SessionTimeout is the org's session policy; 0 when it isn't known. In JSON, nanoseconds.
	SessionTimeout time.Duration `json:"sessionTimeout,omitempty"`
	Disabled       bool          `json:"disabled,omitempty"`
	// PreviousName is the name before the last rename.
	PreviousName string `json:"previousName,omitempty"`
	// Key is the org's name at its first apply. It never changes and keys everything that is kept for the org.
	Key string `json:"key"`
	// Egress is the address that the org must leave by, a local one or what Salesforce sees; the zero Addr leaves the
	// choice to the proxy. A replica that doesn't have it doesn't serve the org.
	Egress netip.Addr `json:"egress,omitzero"`
	// ForeignHosts lets hosts lie outside Salesforce's suffixes.
	ForeignHosts bool `json:"foreignHosts,omitempty"`
}

// Limits are a client's limits per replica. Zero means that there is none.
type Limits struct {
	RequestsPerSecond float64 `json:"requestsPerSecond,omitempty"`
	Concurrent        int     `json:"concurrent,omitempty"`
}

// Client is a caller of the proxy.
type Client struct {
	Name string `json:"name"`
	// SecretHashes are made by [HashSecret], oldest first. At most two, so that a secret can be rolled over.
	SecretHashes []string `json:"-"`
	// Orgs are the names of the orgs that the client may use; none when empty.
	Orgs []string `json:"orgs,omitempty"`
	// Methods are upper-case HTTP methods; all when empty.
	Methods []string `json:"methods,omitempty"`
	// Paths are prefixes of canonical paths; the proxy's default when empty.
	Paths []string `json:"paths,omitempty"`
	// Certificates name certificates that stand for the secret, as dns:NAME or spiffe://TRUST-DOMAIN/PATH, see
	// [CheckCertificate]. No two enabled clients have the same.
	Certificates []string `json:"certificates,omitempty"`
	// Passthrough replaces the global list of hosts that are tunnelled; nil keeps that list, an empty one is none.
	Passthrough *[]string `json:"passthrough,omitempty"`
	Limits      Limits    `json:"limits,omitzero"`
	// Mode is [ModeEnforce] or [ModeReport].
	Mode string `json:"mode"`
	// Composite allows composite, batch and graph requests to a client with methods or paths.
	Composite bool `json:"composite,omitempty"`
	// Allow holds Allow… constants.
	Allow []string `json:"allow,omitempty"`
	// Traces is empty or [TracesTrusted].
	Traces   string `json:"traces,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}
