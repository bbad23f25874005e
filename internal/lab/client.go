package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// NewClient is an HTTP client as a service has it: HTTPS_PROXY with the client's
// name and secret, and the proxy's CA. It holds no Salesforce credential.
func (l *Lab) NewClient() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		Proxy:               http.ProxyURL(&url.URL{Scheme: "http", Host: l.Proxy, User: url.UserPassword(Client, l.Secret)}),
		TLSClientConfig:     &tls.Config{RootCAs: l.Roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 512,
	}}
}

// Seen is what Salesforce saw of a call.
type Seen struct {
	Status      int
	Error       string // Sallyport-Error, where sallyport itself answered
	Body        string
	Fingerprint string `json:"fingerprint"` // of the access token
	Generation  int    `json:"generation"`
	Headers     map[string][]string
}

// Call calls the org's echo resource and returns what Salesforce saw.
func (l *Lab) Call(ctx context.Context, c *http.Client, org string) (Seen, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+Host(org)+"/services/data/v65.0/echo", nil)
	if err != nil {
		return Seen{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return Seen{}, err
	}
	defer resp.Body.Close()
	s := Seen{Status: resp.StatusCode, Error: resp.Header.Get("Sallyport-Error")}
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return s, err
	}
	s.Body = string(raw)
	if s.Status == http.StatusOK {
		err = json.Unmarshal(raw, &s)
	}
	return s, err
}

// Grant is a grant as the admin API tells.
type Grant struct {
	State      string `json:"state"`
	Reason     string `json:"reason"`
	Epoch      int64  `json:"epoch"`
	Generation int64  `json:"generation"`
}

// Grant asks the admin API about org's grant.
func (l *Lab) Grant(ctx context.Context, org string) (Grant, error) {
	_, b, err := l.AdminCall(ctx, http.MethodGet, "/v1/orgs/"+org, nil)
	if err != nil {
		return Grant{}, err
	}
	var o struct {
		Grant Grant `json:"grant"`
	}
	return o.Grant, json.Unmarshal(b, &o)
}
