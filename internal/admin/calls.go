package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// Apps lists the apps.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	var l appList
	_, err := c.call(ctx, http.MethodGet, "/v1/apps", nil, &l, false)
	return l.Apps, err
}

// Clients lists the clients of the proxy.
func (c *Client) Clients(ctx context.Context) ([]ProxyClient, error) {
	var l clientList
	_, err := c.call(ctx, http.MethodGet, "/v1/clients", nil, &l, false)
	return l.Clients, err
}

// Orgs lists the orgs.
func (c *Client) Orgs(ctx context.Context) ([]Org, error) {
	var l orgList
	_, err := c.call(ctx, http.MethodGet, "/v1/orgs", nil, &l, false)
	return l.Orgs, err
}

// Org tells about one org.
func (c *Client) Org(ctx context.Context, name string) (Org, error) {
	var o Org
	_, err := c.call(ctx, http.MethodGet, orgPath(name, ""), nil, &o, false)
	return o, err
}

func orgPath(name, rest string) string { return "/v1/orgs/" + url.PathEscape(name) + rest }

// AddClientSecret makes a client's secret and returns it, for the only time.
func (c *Client) AddClientSecret(ctx context.Context, name string) (secret.Text, error) {
	var out clientSecret
	_, err := c.call(ctx, http.MethodPost, "/v1/clients/"+url.PathEscape(name)+"/secret", nil, &out, true)
	return secret.NewText(out.Secret), err
}

// Apply makes a change true.
func (c *Client) Apply(ctx context.Context, change registry.Change) (Applied, error) {
	var out Applied
	body, err := registry.EncodeChange(change)
	if err != nil {
		return out, err
	}
	_, err = c.call(ctx, http.MethodPost, "/v1/apply", rawJSON(body), &out, true)
	return out, err
}

// rawJSON is sent as it is.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (b rawJSON) MarshalJSON() ([]byte, error) { return b, nil }

// Import enrols a refresh token.
func (c *Client) Import(ctx context.Context, org string, refresh secret.Text) (Enrolled, error) {
	var out Enrolled
	in := map[string]string{"refreshToken": refresh.Reveal()}
	_, err := c.call(ctx, http.MethodPut, orgPath(org, "/grant"), in, &out, true)
	return out, err
}

// Authorize begins an authorisation.
func (c *Client) Authorize(ctx context.Context, org, redirectURI string) (Authorization, error) {
	var out Authorization
	_, err := c.call(ctx, http.MethodPost, orgPath(org, "/authorize"), map[string]string{"redirectUri": redirectURI}, &out, true)
	return out, err
}

// CompleteAuthorize hands in the URL that the browser was sent back to.
func (c *Client) CompleteAuthorize(ctx context.Context, org, redirectURL string) (Enrolled, error) {
	var out Enrolled
	_, err := c.call(ctx, http.MethodPost, orgPath(org, "/authorize/complete"), map[string]string{"redirectUrl": redirectURL}, &out, true)
	return out, err
}

// Refresh exchanges a grant now and waits for it. It reports false where the exchange still goes on after wait.
func (c *Client) Refresh(ctx context.Context, org string, wait time.Duration) (Exchange, bool, error) {
	var out Exchange
	status, err := c.call(ctx, http.MethodPost, orgPath(org, "/refresh?wait="+url.QueryEscape(wait.String())), nil, &out, false)
	if status == http.StatusAccepted {
		return Exchange{}, false, nil
	}
	return out, err == nil, err
}

// Settle asks Salesforce about a doubt now.
func (c *Client) Settle(ctx context.Context, org string) (Org, error) {
	return c.command(ctx, http.MethodPost, orgPath(org, "/settle"), nil)
}

// Confirm says that a grant is the truth, with unverified even where Salesforce stays silent.
func (c *Client) Confirm(ctx context.Context, org string, unverified bool) (Org, error) {
	return c.command(ctx, http.MethodPost, orgPath(org, "/confirm"), map[string]bool{"unverified": unverified})
}

// Revoke ends a grant at Salesforce.
func (c *Client) Revoke(ctx context.Context, org string) (Org, error) {
	return c.command(ctx, http.MethodPost, orgPath(org, "/revoke"), nil)
}

// Forget destroys what is kept of a grant.
func (c *Client) Forget(ctx context.Context, org string) (Org, error) {
	return c.command(ctx, http.MethodDelete, orgPath(org, "/grant"), nil)
}

func (c *Client) command(ctx context.Context, method, path string, in any) (Org, error) {
	var o Org
	_, err := c.call(ctx, method, path, in, &o, false)
	return o, err
}

// Exchanges lists the newest exchanges after a time, oldest first, of one org or, where org is empty, of all. next is
// the time to ask after for what comes later.
func (c *Client) Exchanges(ctx context.Context, org string, after time.Time, limit int) (found []Exchange, next time.Time, err error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if org != "" {
		q.Set("org", org)
	}
	if !after.IsZero() {
		q.Set("after", after.UTC().Format(time.RFC3339Nano))
	}
	var l exchangeList
	if _, err = c.call(ctx, http.MethodGet, "/v1/exchanges?"+q.Encode(), nil, &l, false); err != nil {
		return nil, after, err
	}
	if l.Next != nil {
		after = *l.Next
	}
	return l.Exchanges, after, nil
}

// CA returns the roots that clients must trust, as PEM.
func (c *Client) CA(ctx context.Context) ([]byte, error) {
	_, pem, err := c.send(ctx, http.MethodGet, "/v1/ca", nil, false)
	return pem, err
}

// RotateCA makes the next pair or, with activate, switches to it, and returns the roots that clients must trust.
func (c *Client) RotateCA(ctx context.Context, activate bool) ([]byte, error) {
	body := []byte(`{"activate":` + strconv.FormatBool(activate) + `}`)
	_, pem, err := c.send(ctx, http.MethodPost, "/v1/ca/rotate", body, false)
	return pem, err
}

// Doctor returns the server's findings and its clock.
func (c *Client) Doctor(ctx context.Context) ([]Finding, time.Time, error) {
	var out doctorReport
	_, err := c.call(ctx, http.MethodGet, "/v1/doctor", nil, &out, false)
	return out.Findings, out.Time, err
}

// Healthy returns nil when the server answers /healthz. It sends no token.
func (c *Client) Healthy(ctx context.Context) error {
	bare := *c
	bare.token = secret.Text{}
	_, _, err := bare.send(ctx, http.MethodGet, "/healthz", nil, false)
	return err
}
