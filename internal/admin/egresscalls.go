package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Egress tells by which addresses the server's calls leave.
func (c *Client) Egress(ctx context.Context) (EgressReport, error) {
	var out EgressReport
	_, err := c.call(ctx, http.MethodGet, "/v1/egress", nil, &out, false)
	return out, err
}

// ProbeEgress has the server prove its source addresses now, or the one that has or shows address.
func (c *Client) ProbeEgress(ctx context.Context, address string) ([]EgressProbe, error) {
	var out probeReport
	_, err := c.call(ctx, http.MethodPost, "/v1/egress/probe", probeRequest{address}, &out, false)
	return out.Probes, err
}

// Logins asks what Salesforce recorded of an org in the time that ended now.
func (c *Client) Logins(ctx context.Context, org string, since time.Duration) (LoginReport, error) {
	var out LoginReport
	_, err := c.call(ctx, http.MethodGet, orgPath(org, "/logins?since="+url.QueryEscape(since.String())), nil, &out, false)
	return out, err
}
