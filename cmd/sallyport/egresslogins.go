package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

const (
	// loginsVersion is the API version of the query.
	loginsVersion = "v65.0"
	// maxLogins is how many rows are looked at, one page of an answer.
	maxLogins     = 2000
	maxLoginBytes = 8 << 20
)

var (
	salesforceID = regexp.MustCompile(`^005[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?$`)
	incurable    = regexp.MustCompile(`This session is not valid for use with the REST API|Connected app is not attached to Agent`)
	errorCode    = regexp.MustCompile(`"errorCode"\s*:\s*"([A-Z_]{1,64})"`)
)

// loginQuery asks for one user's logins, the newest first. Of LoginHistory's
// fields only UserId and LoginTime can be filtered.
func loginQuery(user string, since time.Time) string {
	return fmt.Sprintf("SELECT Id, LoginTime, Status, SourceIp, LoginType, LoginSubType, Application FROM LoginHistory WHERE UserId = '%s' AND LoginTime >= %s ORDER BY LoginTime DESC LIMIT %d",
		user, since.UTC().Format(time.RFC3339), maxLogins)
}

// readLogins reads the answer to a loginQuery.
func readLogins(body []byte) ([]admin.Login, error) {
	var page struct {
		Records *[]struct {
			ID, LoginTime, Status, SourceIP, LoginType, LoginSubType, Application string
		} `json:"records"`
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Records == nil {
		return nil, &admin.ProblemError{Status: http.StatusBadGateway, Code: string(tokens.CodeUpstream), Detail: "Salesforce's answer is no page of LoginHistory", Temporary: true}
	}
	out := make([]admin.Login, 0, len(*page.Records))
	for _, r := range *page.Records {
		at, err := time.Parse("2006-01-02T15:04:05.000-0700", r.LoginTime)
		if err != nil {
			if at, err = time.Parse(time.RFC3339, r.LoginTime); err != nil {
				return nil, &admin.ProblemError{Status: http.StatusBadGateway, Code: string(tokens.CodeUpstream), Detail: "Salesforce's answer has a login without a time"}
			}
		}
		out = append(out, admin.Login{ID: r.ID, Time: at.UTC(), SourceIP: r.SourceIP, Status: r.Status, Type: r.LoginType, SubType: r.LoginSubType, Application: r.Application})
	}
	return out, nil
}

// recorded asks Salesforce for the logins of org's own user.
func (d *egressDesk) recorded(ctx context.Context, org tokens.OrgID, since time.Time) (user string, logins []admin.Login, err error) {
	t, err := d.broker.Token(ctx, org)
	if err != nil {
		return "", nil, err
	}
	s := d.reg.Snapshot()
	o := s.OrgByKey(string(org))
	if o == nil {
		return "", nil, &registry.UnknownError{Kind: registry.KindOrg, Name: string(org)}
	}
	base := baseOf(t, o.LoginURL, s.HostsOf(o.Key))
	if user = t.UserID; user == "" {
		var me struct {
			ID string `json:"user_id"`
		}
		body, err := d.ask(ctx, org, &t, base+"/services/oauth2/userinfo")
		if err != nil {
			return "", nil, err
		}
		if err := json.Unmarshal(body, &me); err == nil {
			user = me.ID
		}
	}
	if !salesforceID.MatchString(user) {
		return "", nil, &admin.ProblemError{Status: http.StatusBadGateway, Code: string(tokens.CodeUpstream), Detail: "it isn't known which user the org's token belongs to",
			Hint: "exchange once more: sallyport grant refresh " + o.Name, Org: o.Name}
	}
	body, err := d.ask(ctx, org, &t, base+"/services/data/"+loginsVersion+"/query/?q="+url.QueryEscape(loginQuery(user, since)))
	if err != nil {
		return "", nil, err
	}
	logins, err = readLogins(body)
	return user, logins, err
}

// baseOf is where the org's API is: the instance URL where it is one of the
// org's hosts, since nothing else gets the token, else the login URL.
func baseOf(t tokens.Token, login string, hosts []string) string {
	for _, s := range []string{t.InstanceURL, login} {
		if u, err := url.Parse(s); err == nil && u.Scheme == "https" && (s == login || slices.Contains(hosts, u.Hostname())) {
			return "https://" + u.Host
		}
	}
	return login
}

// ask makes one call with org's token, which is replaced once when its session
// is dead.
func (d *egressDesk) ask(ctx context.Context, org tokens.OrgID, t *tokens.Token, url string) ([]byte, error) {
	status, body, err := d.get(ctx, org, *t, url)
	if err == nil && dead(status, body) {
		if *t, err = d.broker.Replace(ctx, org, *t); err == nil {
			status, body, err = d.get(ctx, org, *t, url)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		d.broker.Used(org, *t)
		return body, nil
	}
	p := &admin.ProblemError{Status: http.StatusBadGateway, Code: string(tokens.CodeUpstream), Detail: fmt.Sprintf("Salesforce answered %d to the question about logins", status),
		Hint: "the integration user needs API access; its own logins it may always read", Temporary: status >= 500}
	if m := errorCode.FindSubmatch(body); m != nil {
		p.Detail += " (" + string(m[1]) + ")"
	}
	return nil, p
}

// dead reports whether a new session would fare better.
func dead(status int, body []byte) bool {
	switch status {
	case http.StatusUnauthorized:
		m := errorCode.FindSubmatch(body)
		return m != nil && string(m[1]) == "INVALID_SESSION_ID" && !incurable.Match(body)
	case http.StatusForbidden:
		return string(bytes.TrimSpace(body)) == "Bad_OAuth_Token"
	}
	return false
}

func (d *egressDesk) get(ctx context.Context, org tokens.OrgID, t tokens.Token, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+t.Access.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport/"+version)
	resp, err := d.dir.RoundTripper(org).RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		return 0, nil, &admin.ProblemError{Status: http.StatusBadGateway, Code: string(tokens.CodeUpstream), Detail: "Salesforce wasn't reached: " + err.Error(), Temporary: true}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLoginBytes))
	return resp.StatusCode, body, err
}
