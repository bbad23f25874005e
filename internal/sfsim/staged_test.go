package sfsim_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

type pair struct{ ID, Key, Secret, State, URL, CreatedDate, ExpirationDate string }

// rotator is an admin who manages the app "key" with a token of the app "other".
type rotator struct {
	*fixture
	token, path string
}

func rotation(t *testing.T) rotator {
	t.Helper()
	f := setup(t)
	must(f.AddOrg(sfsim.Org{Host: "hub.my.salesforce.com", SecretsInREST: true, Users: []sfsim.User{{Username: "admin@hub.test", AppDeveloper: true}}}))(t)
	return rotator{f, must(f.Authorize("other", "hub.my.salesforce.com", ""))(t).AccessToken, stagedPath(f)}
}

func stagedPath(f *fixture) string {
	app, consumer, err := f.AppIDs("key")
	check(f.t, err)
	return "/services/data/v65.0/apps/oauth/credentials/" + app + "/" + consumer
}

func (r rotator) call(method, path, body string) reply {
	r.t.Helper()
	return r.send(method, "https://hub.my.salesforce.com"+path, body, "Authorization", "Bearer "+r.token, "Content-Type", "application/json")
}

func (r rotator) staged() []pair {
	r.t.Helper()
	var v struct{ StagedCredentials []pair }
	check(r.t, json.Unmarshal([]byte(r.call("GET", r.path+"/staged", "").body), &v))
	return v.StagedCredentials
}

func (r rotator) stage() pair {
	r.t.Helper()
	got := r.call("POST", r.path+"/staged", "{}")
	got.want(r.t, 201, `"state":"active"`)
	var v struct{ StagedCredentials []pair }
	check(r.t, json.Unmarshal([]byte(got.body), &v))
	return v.StagedCredentials[0]
}

func (r rotator) rotate(p pair) reply {
	r.t.Helper()
	return r.call("PATCH", r.path+"/staged/"+p.ID, `{"command":"rotate"}`)
}

// cc asks for a token with a pair.
func (r rotator) cc(key, secret string) reply {
	r.t.Helper()
	return r.form(tokenPath, "grant_type", "client_credentials", "client_id", key, "client_secret", secret)
}

func TestStagedPairWorksBesideTheFirst(t *testing.T) {
	r := rotation(t)
	if got := r.call("GET", r.path+"/staged", ""); got.body != `{"stagedCredentials":[]}` {
		t.Errorf("got %s", got.body)
	}
	p := r.stage()
	if !strings.HasPrefix(p.ID, "0ug") || p.Key == "key" || p.Secret == "secret" || p.CreatedDate != "2026-11-24T12:00:00.000Z" || p.ExpirationDate != "2026-12-24T12:00:00.000Z" || !strings.HasSuffix(p.URL, "/staged/"+p.ID) {
		t.Errorf("got %+v", p)
	}
	g := r.grant()
	for _, use := range [][2]string{{"key", "secret"}, {p.Key, p.Secret}} {
		got := r.form(tokenPath, append(refreshParams(g.RefreshToken), "client_id", use[0], "client_secret", use[1])...)
		got.want(t, 200, "")
		g.RefreshToken = got.field("refresh_token")
		r.form("/services/oauth2/introspect", "token", g.AccessToken, "client_id", use[0], "client_secret", use[1]).want(t, 200, `"active":true`)
	}
	r.form(tokenPath, "grant_type", "client_credentials", "client_id", p.Key, "client_secret", "secret").want(t, 400, `"invalid_client"`) // the pairs don't mix
	r.call("POST", r.path+"/staged", "{}").want(t, 400, "exists already")
	if got := r.staged(); len(got) != 1 || got[0] != p {
		t.Errorf("got %+v", got)
	}
	r.call("GET", r.path+"/staged/"+p.ID, "").want(t, 200, p.Secret)
	r.call("DELETE", r.path+"/staged/"+p.ID, "").want(t, 204, "")
	r.call("DELETE", r.path+"/staged/"+p.ID, "").want(t, 404, "NOT_FOUND")
	r.cc(p.Key, p.Secret).want(t, 400, "invalid_client_id")
}

func TestStagedPairEndsAfterThirtyDays(t *testing.T) {
	r := rotation(t)
	check(t, r.SetSessionTimeout("hub.my.salesforce.com", 1000*time.Hour))
	p := r.stage()
	r.clock.t = r.clock.t.Add(30*24*time.Hour - time.Second)
	r.cc(p.Key, p.Secret).want(t, 200, "")
	r.clock.t = r.clock.t.Add(time.Second)
	r.cc(p.Key, p.Secret).want(t, 400, "invalid_client_id")
	if got := r.staged(); got[0].State != "expired" {
		t.Errorf("got %+v", got)
	}
	r.rotate(p).want(t, 400, "only an active")
	if next := r.stage(); next.ID == p.ID || len(r.staged()) != 1 {
		t.Error("the expired pair kept its slot")
	}
}

func TestRotate(t *testing.T) {
	t.Run("the former pair is dead at once and the slot shows the new one", func(t *testing.T) {
		r := rotation(t)
		g := r.grant()
		p := r.stage()
		r.call("PATCH", r.path+"/staged/"+p.ID, `{"command":"undo"}`).want(t, 400, "INVALID_INPUT")
		r.rotate(p).want(t, 200, `"state":"rotated"`)
		r.cc("key", "secret").want(t, 400, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`)
		if got := r.staged(); got[0].Key != p.Key || got[0].Secret != p.Secret || got[0].State != "rotated" {
			t.Errorf("got %+v", got)
		}
		r.rotate(p).want(t, 400, "only an active")
		r.form(tokenPath, append(refreshParams(g.RefreshToken), "client_id", p.Key, "client_secret", p.Secret)...).want(t, 200, "")
		r.call("DELETE", r.path+"/staged/"+p.ID, "").want(t, 204, "")
		r.cc(p.Key, p.Secret).want(t, 200, "") // the app's own now
	})
	t.Run("the former pair lives in the slot under the switch, until that is deleted", func(t *testing.T) {
		r := rotation(t)
		r.switches(func(w *sfsim.Switches) { w.FormerPairSurvivesRotate = true })
		p := r.stage()
		r.rotate(p).want(t, 200, "")
		r.cc("key", "secret").want(t, 200, "")
		r.cc(p.Key, p.Secret).want(t, 200, "")
		if got := r.staged(); got[0].Key != "key" || got[0].Secret != "secret" || got[0].State != "rotated" {
			t.Errorf("got %+v", got)
		}
		r.call("DELETE", r.path+"/staged/"+p.ID, "").want(t, 204, "")
		r.cc("key", "secret").want(t, 400, "invalid_client_id")
		r.cc(p.Key, p.Secret).want(t, 200, "")
	})
	t.Run("or for thirty days, or until the next pair is staged", func(t *testing.T) {
		r := rotation(t)
		r.switches(func(w *sfsim.Switches) { w.FormerPairSurvivesRotate = true })
		r.clock.t = r.clock.t.Add(time.Hour)
		r.rotate(r.stage()).want(t, 200, "")
		r.clock.t = r.clock.t.Add(30*24*time.Hour - time.Second)
		r.cc("key", "secret").want(t, 200, "")
		r.token = must(r.Authorize("other", "hub.my.salesforce.com", ""))(t).AccessToken
		r.stage()
		r.cc("key", "secret").want(t, 400, "invalid_client_id")
	})
	t.Run("takes the app's tokens with it under the switch", func(t *testing.T) {
		r := rotation(t)
		r.switches(func(w *sfsim.Switches) { w.RotateRevokesTokens = true })
		g, p := r.grant(), r.stage()
		r.alive(true, g.AccessToken)
		r.rotate(p).want(t, 200, "")
		r.alive(false, g.AccessToken)
		r.form(tokenPath, append(refreshParams(g.RefreshToken), "client_id", p.Key, "client_secret", p.Secret)...).want(t, 400, expired)
	})
	t.Run("leaves refresh tokens with their key under the switch", func(t *testing.T) {
		r := rotation(t)
		r.switches(func(w *sfsim.Switches) { w.GrantsBoundToKey, w.FormerPairSurvivesRotate = true, true })
		g, p := r.grant(), r.stage()
		r.rotate(p).want(t, 200, "")
		r.form(tokenPath, append(refreshParams(g.RefreshToken), "client_id", p.Key, "client_secret", p.Secret)...).want(t, 400, expired)
		r.refresh(g.RefreshToken).want(t, 200, "")
	})
}

func TestWhoMayUseTheCredentials(t *testing.T) {
	r := rotation(t)
	r.call("GET", r.path[:strings.LastIndexByte(r.path, '/')], "").want(t, 200, `"key":"key"`)
	got := r.call("GET", r.path+"?part=keyandsecret", "")
	got.want(t, 200, `"secret":"secret"`)
	if got := r.call("GET", r.path, ""); strings.Contains(got.body, `"secret"`) {
		t.Errorf("a secret that nobody asked for: %s", got.body)
	}
	r.call("GET", strings.Replace(r.path, "v65.0", "v64.0", 1)+"/staged", "").want(t, 404, "NOT_FOUND")
	r.call("GET", strings.Replace(r.path, "v65.0", "v59.0", 1), "").want(t, 404, "NOT_FOUND")
	r.call("GET", "/services/data/v65.0/apps/oauth/credentials/0xI000000000000", "").want(t, 404, "NOT_FOUND")
	r.get(r.path, r.grant().AccessToken).want(t, 403, "INSUFFICIENT_ACCESS") // no developer of apps
	must(r.AddOrg(sfsim.Org{Host: "off.my.salesforce.com", Users: []sfsim.User{{Username: "admin@off.test", AppDeveloper: true}}}))(t)
	off := must(r.Authorize("other", "off.my.salesforce.com", ""))(t).AccessToken
	r.send("GET", "https://off.my.salesforce.com"+r.path+"/staged", "", "Authorization", "Bearer "+off).want(t, 403, "not currently enabled")
}

func TestStagingWithoutContentLengthHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rotation(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		unsized := func(ctx context.Context) *http.Request {
			body := struct{ io.Reader }{strings.NewReader("{}")} // net/http can't tell its length
			q := must(http.NewRequestWithContext(ctx, "POST", "https://hub.my.salesforce.com"+r.path+"/staged", body))(t)
			q.Header.Set("Authorization", "Bearer "+r.token)
			return q
		}
		begun := time.Now()
		if got := do(r.client, unsized(ctx)); !errors.Is(got.err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("got %d %v after %v", got.status, got.err, time.Since(begun))
		}
		if got := do(r.client, unsized(t.Context())); !errors.Is(got.err, io.ErrUnexpectedEOF) || time.Since(begun) != 3*time.Minute {
			t.Errorf("got %d %v after %v", got.status, got.err, time.Since(begun))
		}
		if len(r.staged()) != 0 {
			t.Error("something was staged")
		}
		r.call("POST", r.path+"/staged", "").want(t, 201, "") // Content-Length: 0
	})
}

func TestStagingWithoutContentLengthOnTheWire(t *testing.T) {
	f, v := online(t, false)
	must(f.AddOrg(sfsim.Org{Host: "hub.my.salesforce.com", SecretsInREST: true, Users: []sfsim.User{{Username: "admin@hub.test", AppDeveloper: true}}}))(t)
	token := must(f.Authorize("other", "hub.my.salesforce.com", ""))(t).AccessToken
	d := tls.Dialer{Config: &tls.Config{ServerName: "hub.my.salesforce.com", RootCAs: f.CertPool()}}
	c := must(d.DialContext(t.Context(), "tcp", v.Addr()))(t)
	head := "POST " + stagedPath(f) + "/staged HTTP/1.1\r\nHost: hub.my.salesforce.com\r\nAuthorization: Bearer " + token + "\r\n"
	_, err := io.WriteString(c, head+"Content-Length: 0\r\n\r\n")
	check(t, err)
	in := bufio.NewReader(c)
	resp := must(http.ReadResponse(in, nil))(t)
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != 201 {
		t.Errorf("got %s with a length", resp.Status)
	}
	_, err = io.WriteString(c, head+"\r\n")
	check(t, err)
	check(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := in.ReadByte(); !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v without a length, want nothing", err)
	}
	check(t, v.Close()) // ends what hangs
	_ = c.Close()
}

func TestStagingOverHTTP2(t *testing.T) {
	f, _ := online(t, true)
	must(f.AddOrg(sfsim.Org{Host: "hub.my.salesforce.com", SecretsInREST: true, Users: []sfsim.User{{Username: "admin@hub.test", AppDeveloper: true}}}))(t)
	token := must(f.Authorize("other", "hub.my.salesforce.com", ""))(t).AccessToken
	r := request(t, "POST", "https://hub.my.salesforce.com"+stagedPath(f)+"/staged", "", "Authorization", "Bearer "+token)
	r.Body, r.ContentLength = http.NoBody, 0
	do(f.client, r).want(t, 201, `"state":"active"`)
}

func TestUsageOfApps(t *testing.T) {
	const usage = "/services/data/v59.0/apps/oauth/usage"
	r := rotation(t)
	app, _, err := r.AppIDs("key")
	check(t, err)
	g, second := r.grant(), must(r.Authorize("key", host, "ann@acme.test"))(t)
	got := r.refresh(g.RefreshToken)
	r.call("GET", usage, "").want(t, 200, `"identifier":"`+app+`"`)
	r.call("GET", usage+"/"+app+"/users", "").want(t, 200, `"username":"ann@acme.test"`)
	r.call("GET", usage+"/"+app+"/"+g.UserID+"/tokens", "").want(t, 200, `"useCount":1`)
	r.call("DELETE", usage+"/"+app+"/"+g.UserID+"/tokens", "").want(t, 204, "")
	r.refresh(got.field("refresh_token")).want(t, 400, expired)
	r.alive(true, second.AccessToken)
	r.call("DELETE", usage+"/tokens/"+sfsim.Fingerprint(second.RefreshToken), "").want(t, 204, "")
	r.alive(false, second.AccessToken)
	third := r.grant()
	r.call("DELETE", usage+"/"+app+"/tokens", "").want(t, 204, "")
	r.alive(false, third.AccessToken)
	r.call("DELETE", usage+"/"+app+"/tokens", "").want(t, 404, "NOT_FOUND")
}
