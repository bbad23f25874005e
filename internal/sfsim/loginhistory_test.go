package sfsim_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const loginFields = "SELECT Id, LoginTime, Status, SourceIp, LoginType, LoginSubType, Application FROM LoginHistory"

// soql queries with an access token and returns the records' fields that are named.
func (f *fixture) soql(token, query string, fields ...string) (rows []string, r reply) {
	f.t.Helper()
	r = f.send("GET", base+"/services/data/v65.0/query/?q="+url.QueryEscape(query), "", "Authorization", "Bearer "+token)
	var page struct {
		Records []map[string]any `json:"records"`
	}
	if err := json.Unmarshal([]byte(r.body), &page); err != nil {
		return nil, r
	}
	for _, rec := range page.Records {
		var cells []string
		for _, name := range fields {
			s, _ := rec[name].(string)
			cells = append(cells, s)
		}
		rows = append(rows, strings.Join(cells, "|"))
	}
	return rows, r
}

func TestLoginHistoryShowsTheUsersExchangesAndWhereTheyCameFrom(t *testing.T) {
	f := setup(t)
	g := f.grant()
	other := must(f.Authorize("key", host, "ann@acme.test"))(t)
	exchange := func(token string) string {
		r := f.send("POST", base+"/services/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"key"}, "client_secret": {"secret"}}.Encode(),
			"Content-Type", "application/x-www-form-urlencoded")
		return r.field("refresh_token")
	}
	next := exchange(g.RefreshToken)
	exchange(other.RefreshToken)
	f.clock.t = f.clock.t.Add(time.Hour)
	f.client = clientOver(f.Transport("198.51.100.9:4"))
	exchange(next)
	exchange(next) // a replay fails, and is a login all the same
	token := must(f.Authorize("key", host, ""))(t).AccessToken

	where := loginFields + " WHERE UserId = '" + g.UserID + "'"
	want := []string{
		"2026-11-24T13:00:00.000+0000|198.51.100.9|Failed: expired access/refresh token",
		"2026-11-24T13:00:00.000+0000|198.51.100.9|Success",
		"2026-11-24T12:00:00.000+0000|203.0.113.7|Success",
	}
	got, _ := f.soql(token, where+" ORDER BY LoginTime DESC", "LoginTime", "SourceIp", "Status")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the user's logins (-want +got):\n%s", d)
	}
	got, _ = f.soql(token, where+" AND LoginTime >= 2026-11-24T12:30:00Z ORDER BY LoginTime DESC LIMIT 1", "SourceIp", "LoginType", "LoginSubType")
	if d := cmp.Diff([]string{"198.51.100.9|Remote Access 2.0|OauthRefreshToken"}, got); d != "" {
		t.Errorf("the newest (-want +got):\n%s", d)
	}
	if got, _ = f.soql(token, loginFields+" WHERE UserId = '"+other.UserID+"'", "Id"); len(got) != 0 {
		t.Errorf("another user's logins are shown: %v", got)
	}
	for _, wrong := range []string{" WHERE SourceIp = '203.0.113.7'", " WHERE UserId = '" + g.UserID + "' AND Status = 'Success'"} {
		if _, r := f.soql(token, loginFields+wrong); r.status != 400 || !strings.Contains(r.body, "INVALID_FIELD") {
			t.Errorf("%s: %d %s", wrong, r.status, r.body)
		}
	}
}
