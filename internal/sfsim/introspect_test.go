package sfsim_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

const inactive = `{"active":false}`

func TestIntrospectionOfLivingTokens(t *testing.T) {
	f := setup(t)
	g := f.grant()
	start := f.clock.t
	f.clock.t = start.Add(time.Hour)
	f.get("/services/data/v67.0/limits", g.AccessToken).want(t, 200, "")
	var a struct {
		Active               bool
		Scope, Sub, Username string
		ClientID             string `json:"client_id"`
		TokenType            string `json:"token_type"`
		Exp, Iat, Nbf        int64
	}
	check(t, json.Unmarshal([]byte(f.introspect(g.AccessToken).body), &a))
	if !a.Active || a.Sub != g.IdentityURL || a.Username != "bot@acme.test" || a.ClientID != "key" || a.TokenType != "access_token" || a.Scope == "" ||
		a.Iat != start.Unix() || a.Nbf != a.Iat || a.Exp != start.Add(3*time.Hour).Unix() {
		t.Errorf("got %+v, want exp two hours after the last use", a)
	}
	check(t, json.Unmarshal([]byte(f.introspect(g.RefreshToken).body), &a))
	if !a.Active || a.TokenType != "refresh_token" || a.Exp != start.Add(30*24*time.Hour).Unix() {
		t.Errorf("got %+v", a)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("key:secret"))
	f.send("POST", base+"/services/oauth2/introspect", "token_type_hint=access_token&token="+g.AccessToken,
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", basic).want(t, 200, `"active":true`)
	if l := f.Ledger().Introspections; len(l) != 3 || l[2].Hint != "access_token" || !l[2].Active || l[2].Token.Fingerprint != sfsim.Fingerprint(g.AccessToken) {
		t.Errorf("ledger %+v", l)
	}
}

func TestIntrospectionTellsNobodyElse(t *testing.T) {
	f := setup(t)
	g := f.grant()
	as := func(id, secret, token string) reply {
		return f.form("/services/oauth2/introspect", "token", token, "client_id", id, "client_secret", secret)
	}
	for _, token := range []string{g.AccessToken, g.RefreshToken, "nonsense"} {
		as("other", "hush", token).want(t, 200, inactive)
	}
	as("key", "wrong", g.AccessToken).want(t, 400, "invalid_client")
	check(t, f.UpdateApp("other", func(a *sfsim.App) { a.IntrospectAll = true }))
	as("other", "hush", g.RefreshToken).want(t, 200, `"active":true`)
	f.switches(func(w *sfsim.Switches) { w.IntrospectionDenied = true })
	f.introspect(g.RefreshToken).want(t, 200, inactive)
	f.KillAccess(g.AccessToken)
	f.switches(func(w *sfsim.Switches) { w.IntrospectionDenied = false })
	f.introspect(g.AccessToken).want(t, 200, inactive)
}

func TestIntrospectingARotatedToken(t *testing.T) {
	for _, reuse := range []bool{true, false} {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.IntrospectRotatedIsReuse = reuse })
		g := f.grant()
		r := f.refresh(g.RefreshToken)
		f.introspect(g.RefreshToken).want(t, 200, inactive)
		f.alive(!reuse, r.field("access_token"))
		want := map[sfsim.ViolationKind]int{}
		if reuse {
			want[sfsim.IntrospectedRotated] = 1
		}
		f.violations(want)
	}
}

func TestIntrospectionExtendsASessionOnlyUnderTheSwitch(t *testing.T) {
	for _, extends := range []bool{false, true} {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.IntrospectExtendsSession = extends })
		g := f.grant()
		f.clock.t = f.clock.t.Add(time.Hour)
		f.introspect(g.AccessToken).want(t, 200, `"active":true`)
		f.clock.t = f.clock.t.Add(time.Hour)
		f.alive(extends, g.AccessToken)
	}
}

func TestRevocation(t *testing.T) {
	const path = "/services/oauth2/revoke"
	t.Run("of an access token ends only it", func(t *testing.T) {
		f := setup(t)
		g := f.grant()
		r := f.refresh(g.RefreshToken)
		if got := f.form(path, "token", g.AccessToken); got.status != 200 || got.body != "" {
			t.Errorf("got %+v", got)
		}
		f.alive(false, g.AccessToken)
		f.alive(true, r.field("access_token"))
		got := f.form(path, "token", g.AccessToken)
		got.want(t, 400, "error=invalid_token")
	})
	t.Run("of a refresh token, by GET, ends its access tokens too and no other grant", func(t *testing.T) {
		f := setup(t)
		g, second := f.grant(), f.grant()
		f.send("GET", base+path+"?token="+g.RefreshToken, "").want(t, 200, "")
		f.alive(false, g.AccessToken)
		f.alive(true, second.AccessToken)
		f.refresh(g.RefreshToken).want(t, 400, expired)
		f.violations(map[sfsim.ViolationKind]int{sfsim.TokenInURL: 1})
		if l := f.Ledger().Revocations; len(l) != 1 || !l[0].OK || l[0].Access {
			t.Errorf("ledger %+v", l)
		}
	})
	t.Run("takes all of the user's grants under the switch", func(t *testing.T) {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.RevokeTakesAllGrantsOfUser = true })
		g, second, ann := f.grant(), f.grant(), must(f.Authorize("key", host, "ann@acme.test"))(t)
		f.form(path, "token", g.RefreshToken).want(t, 200, "")
		f.alive(false, g.AccessToken, second.AccessToken)
		f.alive(true, ann.AccessToken)
	})
	t.Run("of a rotated-out token ends its family", func(t *testing.T) {
		f := setup(t)
		g := f.grant()
		r := f.refresh(g.RefreshToken)
		f.form(path, "token", g.RefreshToken).want(t, 200, "")
		f.alive(false, r.field("access_token"))
	})
}
