package admin_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// onSocket serves w on a Unix socket and returns a client of it.
func onSocket(t *testing.T, w *world) *admin.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := admin.NewHTTPServer(w.server.Local(), nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }() // ends with srv.Close
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	c, err := admin.NewClient(admin.ClientOptions{URL: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheClientDoesAllThatTheServerDoes(t *testing.T) {
	w := newWorld(t)
	c, ctx := onSocket(t, w), t.Context()
	change, err := registry.DecodeChange(strings.NewReader(resources))
	if err != nil {
		t.Fatal(err)
	}
	applied, err := c.Apply(ctx, change)
	if err != nil || len(applied.Items) != 4 {
		t.Fatalf("Apply: %+v, %v", applied, err)
	}
	if !strings.Contains(w.log.String(), `who="socket uid=`+strconv.Itoa(os.Getuid())+`"`) {
		t.Errorf("the audit doesn't name the socket's user: %s", w.log)
	}
	w.broker.set("acme-prod", tokens.Status{Kind: "refresh_token", State: tokens.Ready})
	orgs, err := c.Orgs(ctx)
	if err != nil || len(orgs) != 2 {
		t.Errorf("Orgs: %+v, %v", orgs, err)
	}
	apps, err := c.Apps(ctx)
	if err != nil || len(apps) != 1 {
		t.Errorf("Apps: %+v, %v", apps, err)
	}
	clients, err := c.Clients(ctx)
	if err != nil || len(clients) != 1 || clients[0].Name != "billing" || clients[0].Secrets != 0 {
		t.Errorf("Clients: %+v, %v", clients, err)
	}
	made, err := c.AddClientSecret(ctx, "billing")
	if err != nil || made.IsZero() {
		t.Errorf("AddClientSecret: %v", err)
	}
	enrolled, err := c.Import(ctx, "acme-prod", secret.NewText(importToken))
	if err != nil || enrolled.Epoch != 5 || enrolled.Already {
		t.Errorf("Import: %+v, %v", enrolled, err)
	}
	begun, err := c.Authorize(ctx, "acme-prod", callback)
	if err != nil {
		t.Errorf("Authorize: %v", err)
	}
	if enrolled, err = c.CompleteAuthorize(ctx, "acme-prod", back(begun.State)); err != nil || enrolled.Epoch != 6 {
		t.Errorf("CompleteAuthorize: %+v, %v", enrolled, err)
	}
	exchange, done, err := c.Refresh(ctx, "acme-prod", time.Minute)
	if err != nil || !done || exchange.Generation != 8 {
		t.Errorf("Refresh: %+v %v, %v", exchange, done, err)
	}
	for name, f := range map[string]func() (admin.Org, error){
		"Settle":  func() (admin.Org, error) { return c.Settle(ctx, "acme-prod") },
		"Confirm": func() (admin.Org, error) { return c.Confirm(ctx, "acme-prod", true) },
		"Revoke":  func() (admin.Org, error) { return c.Revoke(ctx, "acme-prod") },
		"Forget":  func() (admin.Org, error) { return c.Forget(ctx, "acme-prod") },
		"Org":     func() (admin.Org, error) { return c.Org(ctx, "acme-prod") },
	} {
		if o, err := f(); err != nil || o.Name != "acme-prod" || o.Grant == nil {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	found, next, err := c.Exchanges(ctx, "acme-prod", time.Time{}, 10)
	if err != nil || len(found) != 2 || !next.Equal(found[1].Time) {
		t.Errorf("Exchanges: %+v %v, %v", found, next, err)
	}
	if found, again, err := c.Exchanges(ctx, "", next, 10); err != nil || len(found) != 0 || !again.Equal(next) {
		t.Errorf("Exchanges after the last: %+v %v, %v", found, again, err)
	}
	if pem, err := c.RotateCA(ctx, false); err != nil || len(pem) == 0 {
		t.Errorf("RotateCA: %v", err)
	}
	if pem, err := c.CA(ctx); err != nil || len(pem) == 0 {
		t.Errorf("CA: %v", err)
	}
	if findings, clock, err := c.Doctor(ctx); err != nil || len(findings) < 6 || clock.IsZero() {
		t.Errorf("Doctor: %+v %v, %v", findings, clock, err)
	}
	if err := c.Healthy(ctx); err != nil {
		t.Errorf("Healthy: %v", err)
	}
	var p *admin.ProblemError
	if _, err := c.Org(ctx, "no/body"); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("an unknown org: %v", err)
	}
}

func TestASecretIsNotSentInClear(t *testing.T) {
	for _, url := range []string{"http://sallyport.example:3129", "http://192.0.2.1:3129", "http://127.0.0.1.example:3129"} {
		for _, token := range []string{"", adminToken} {
			c, err := admin.NewClient(admin.ClientOptions{URL: url, Token: secret.NewText(token)})
			if err != nil {
				t.Fatal(err)
			}
			var insecure *admin.InsecureError
			if _, err := c.Import(t.Context(), "acme-prod", secret.NewText(importToken)); !errors.As(err, &insecure) {
				t.Errorf("%s, token %v: %v, want InsecureError", url, token != "", err)
			}
		}
	}
}

func TestOnlyAnAdminURLIsTaken(t *testing.T) {
	for _, url := range []string{"", "unix:relative.sock", "ftp://127.0.0.1", "http://", "127.0.0.1:3129", "http://u:TOPSECRET@127.0.0.1:3129", "http://127.0.0.1/path"} {
		if _, err := admin.NewClient(admin.ClientOptions{URL: url}); err == nil || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestTheTokenFollowsNoRedirect(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	c, err := admin.NewClient(admin.ClientOptions{URL: s.URL, Token: secret.NewText(adminToken)})
	if err != nil {
		t.Fatal(err)
	}
	var p *admin.ProblemError
	if _, err := c.Orgs(t.Context()); !errors.As(err, &p) || p.Status != 307 || len(elsewhere) != 0 {
		t.Errorf("%v; elsewhere %d requests", err, len(elsewhere))
	}
}

func TestAServerThatIsAwayIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	c, err := admin.NewClient(admin.ClientOptions{URL: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	var away *admin.UnreachableError
	if _, err := c.Orgs(t.Context()); !errors.As(err, &away) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "sallyport serve") {
		t.Errorf("%v", err)
	}
}
