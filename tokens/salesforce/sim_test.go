package salesforce_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

const callback = "https://localhost/callback"

// simulated is a Salesforce over real TLS, with one app that rotates and an
// Exchanger that reaches it.
type simulated struct {
	*sfsim.Sim
	server *sfsim.Server
	org    sfsim.Org
	x      *salesforce.Exchanger
}

func simulate(t *testing.T) *simulated {
	t.Helper()
	sim, err := sfsim.New(sfsim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	app := testApp()
	o, err := sim.AddOrg(sfsim.Org{Host: host, Users: []sfsim.User{{Username: "robot@acme.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = sim.AddApp(sfsim.App{ClientID: app.ClientID, ClientSecret: app.ClientSecret.Reveal(), RTR: true, PKCE: true,
		SecretRequiredForRefresh: true, RunAs: "robot@acme.example", RedirectURIs: []string{callback}})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return &simulated{sim, server, o, exchanger(t, server.Addr(), sim.CertPool(), app, 5*time.Second)}
}

func (s *simulated) trade(t *testing.T, c tokens.Credential) (tokens.Issue, error) {
	t.Helper()
	l, err := s.x.Connect(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, sent, err := l.Send(t.Context(), c, noGuard)
	if err != nil || !sent {
		t.Fatalf("sent %t, error %v", sent, err)
	}
	return s.x.Parse(a)
}

func (s *simulated) alive(t *testing.T, token secret.Text, refresh bool) tokens.Liveness {
	t.Helper()
	l, err := s.x.Introspect(t.Context(), org, tokens.Subject{Token: token, Refresh: refresh})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func refreshWith(token secret.Text) tokens.Credential {
	return tokens.Credential{Kind: salesforce.KindRefreshToken, SingleUse: true, Secret: token}
}

func TestSimulatedRotationIntrospectionAndRevocation(t *testing.T) {
	s := simulate(t)
	g, err := s.Authorize(testApp().ClientID, host, "")
	if err != nil {
		t.Fatal(err)
	}
	first := secret.NewText(g.RefreshToken)
	i, err := s.trade(t, refreshWith(first))
	if err != nil {
		t.Fatal(err)
	}
	if i.Refresh.IsZero() || i.Refresh == first || i.Access.IsZero() || i.InstanceURL != "https://"+host ||
		i.OrgID != g.OrgID || i.UserID != g.UserID || time.Since(i.IssuedAt) > time.Minute {
		t.Errorf("issue %+v", i)
	}
	for _, refresh := range []bool{false, true} {
		subject := i.Access
		if refresh {
			subject = i.Refresh
		}
		if l := s.alive(t, subject, refresh); !l.Active || l.OrgID != g.OrgID || l.UserID != g.UserID || !l.ExpiresAt.After(time.Now()) {
			t.Errorf("refresh token %t: %+v", refresh, l)
		}
	}
	if s.alive(t, secret.NewText("5Aep861unknown"), true).Active {
		t.Error("an unknown token is active")
	}
	if err := s.x.Revoke(t.Context(), org, tokens.Subject{Token: i.Refresh, Refresh: true}); err != nil {
		t.Error(err)
	}
	if s.alive(t, i.Access, false).Active {
		t.Error("the access token outlived the revocation")
	}
	wantClass(t, s.x.Revoke(t.Context(), org, tokens.Subject{Token: i.Refresh, Refresh: true}), tokens.ClassDead)
	_, err = s.trade(t, refreshWith(i.Refresh))
	wantClass(t, err, tokens.ClassDead)
	if led := s.Ledger(); len(led.Violations) > 0 || led.Replays > 0 || len(led.Losses) > 0 {
		t.Errorf("violations %v, %d replays, losses %v", led.Violations, led.Replays, led.Losses)
	}
}

func TestSimulatedClientCredentials(t *testing.T) {
	s := simulate(t)
	i, err := s.trade(t, tokens.Credential{Kind: salesforce.KindClientCredentials})
	if err != nil {
		t.Fatal(err)
	}
	if i.Access.IsZero() || !i.Refresh.IsZero() || i.OrgID != s.org.ID {
		t.Errorf("issue %+v", i)
	}
}

func TestSimulatedAuthorizationWithPKCE(t *testing.T) {
	s := simulate(t)
	verifier := salesforce.NewVerifier()
	to := salesforce.AuthorizeURL("https://"+host, testApp().ClientID, callback, "st4te", salesforce.Challenge(verifier), []string{"api", "refresh_token"})
	back := s.visit(t, to)
	if back.Query().Get("state") != "st4te" {
		t.Fatalf("redirect %v", back)
	}
	code := salesforce.CodeCredential(back.Query().Get("code"), verifier, callback)
	i, err := s.trade(t, code)
	if err != nil {
		t.Fatal(err)
	}
	if i.Access.IsZero() || i.Refresh.IsZero() || i.OrgID != s.org.ID {
		t.Errorf("issue %+v", i)
	}
	if _, err := s.trade(t, code); err == nil {
		t.Error("the code was good twice")
	}
}

// visit follows the authorize URL as a browser does, up to the redirect.
func (s *simulated) visit(t *testing.T, to string) *url.URL {
	t.Helper()
	browser := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.CertPool(), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.server.Addr())
		},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// Each fault costs one request, and only one that is on the list says anything
// of the token.
func TestSimulatedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault sfsim.Fault
		class tokens.Class
		sent  bool // an answer came
	}{
		"the answer is lost":         {sfsim.LoseAnswer(), tokens.ClassDoubt, false},
		"the answer is reset":        {sfsim.ResetAnswer(), tokens.ClassDoubt, false},
		"503 after the commit":       {sfsim.HTML(503).Committed(), tokens.ClassDoubt, true},
		"420":                        {sfsim.HTML(420), tokens.ClassDoubt, true},
		"a page":                     {sfsim.NotJSON(), tokens.ClassDoubt, true},
		"307":                        {sfsim.Redirect("https://" + host + "/services/oauth2/token"), tokens.ClassDoubt, true},
		"cut before the token":       {sfsim.CutBody(30), tokens.ClassDoubt, true},
		"too many logins":            {sfsim.LoginRateExceeded(), tokens.ClassRateLimited, true},
		"a server error":             {sfsim.ServerError(), tokens.ClassDoubt, true},
		"a wrong secret":             {sfsim.InvalidClient(), tokens.ClassMisconfigured, true},
		"an address not on the list": {sfsim.IPRestricted(), tokens.ClassMisconfigured, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t)
			g, err := s.Authorize(testApp().ClientID, host, "")
			if err != nil {
				t.Fatal(err)
			}
			s.Inject(c.fault)
			l := connect(t, s.x)
			a, sent, _ := l.Send(t.Context(), refreshWith(secret.NewText(g.RefreshToken)), noGuard)
			l.Close()
			if !sent || (len(a) > 0) != c.sent {
				t.Errorf("sent %t, answer of %d bytes", sent, len(a))
			}
			_, err = s.x.Parse(a)
			wantClass(t, err, c.class)
			if n := len(s.Ledger().Tokens); n != 1 {
				t.Errorf("%d token requests", n)
			}
		})
	}
}

func TestSimulatedCutAnswerStillBringsTheToken(t *testing.T) {
	s := simulate(t)
	g, err := s.Authorize(testApp().ClientID, host, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(sfsim.CutBody(320))
	l := connect(t, s.x)
	a, _, err := l.Send(t.Context(), refreshWith(secret.NewText(g.RefreshToken)), noGuard)
	l.Close()
	if err == nil {
		t.Error("a cut answer without an error")
	}
	i, err := s.x.Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	if !s.alive(t, i.Refresh, true).Active {
		t.Error("the token of the cut answer isn't the live one")
	}
}
