package lab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// cli runs one sallyport command against the lab's serve.
func cli(t *testing.T, l *lab.Lab, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SALLYPORT_STATE_DIR=" + l.StateDir()}
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sallyport %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func startLab(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Binary, o.Dir = binary, t.TempDir()
	l, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestTheFirstTokenByAuthorizationCode goes through grant authorize as a person
// does: the URL with PKCE and state, the login, the pasted redirect.
func TestTheFirstTokenByAuthorizationCode(t *testing.T) {
	l := startLab(t, lab.Options{Orgs: []string{"acme"}, Session: time.Hour})
	cmd := exec.CommandContext(t.Context(), binary, "grant", "authorize", "acme", "--redirect-uri", "http://127.0.0.1:1717/callback")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SALLYPORT_STATE_DIR=" + l.StateDir()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	url, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(url, "code_challenge_method=S256") || !strings.Contains(url, "state=") {
		t.Fatalf("the authorize URL is %q: %v\n%s", url, err, stderr.String())
	}
	if _, err := fmt.Fprintln(in, login(t, l, strings.TrimSpace(url))); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, rest, stderr.String())
	}
	g, err := l.Grant(t.Context(), "acme")
	if err != nil || g.State != "ready" || g.Generation != 1 {
		t.Errorf("the grant is %+v: %v", g, err)
	}
	before := l.Sim.Ledger()
	if seen, err := l.Call(t.Context(), l.NewClient(), "acme"); err != nil || seen.Status != http.StatusOK {
		t.Errorf("the first call: %d %s %v", seen.Status, seen.Body, err)
	}
	after := l.Sim.Ledger()
	if after.Exchanges != before.Exchanges || len(after.Violations) != 0 {
		t.Errorf("%d exchanges for a token that came with the code, violations %v", after.Exchanges-before.Exchanges, after.Violations)
	}
	codes := 0
	for _, r := range after.Tokens {
		if r.GrantType == "authorization_code" {
			codes++
		}
	}
	if codes != 1 {
		t.Errorf("the code was sent %d times", codes)
	}
}

// login is what the person's browser does: it ends at the redirect URI, which
// nobody serves.
func login(t *testing.T, l *lab.Lab, url string) string {
	t.Helper()
	c := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: l.Sim.CertPool(), MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", l.SalesforceAddr())
			},
		},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusFound || !strings.HasPrefix(to, "http://127.0.0.1:1717/callback?") {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("the authorisation answered %d to %q\n%s", resp.StatusCode, to, b)
	}
	return to
}

// TestAnOperatorsCommands runs the commands on grants, clients and the CA
// against a real serve.
func TestAnOperatorsCommands(t *testing.T) {
	l := startLab(t, lab.Options{Orgs: []string{"acme"}, Session: time.Hour})
	c := l.NewClient()
	mustCall(t, l, c)
	if out := cli(t, l, "", "grant", "refresh", "acme"); !strings.Contains(out, "issued") {
		t.Errorf("grant refresh says %q", out)
	}
	if out := cli(t, l, "", "grant", "show", "acme"); !strings.Contains(out, "ready") {
		t.Errorf("grant show says %q", out)
	}
	type line struct{ Reason, Outcome string }
	var history []line
	for d := json.NewDecoder(strings.NewReader(cli(t, l, "", "exchanges", "--org", "acme", "-o", "json"))); d.More(); {
		var e line
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		history = append(history, e)
	}
	if len(history) != 2 || history[1] != (line{"manual", "issued"}) {
		t.Errorf("the history is %+v", history)
	}
	if out := cli(t, l, "", "ca", "export"); out != string(l.CAPEM) {
		t.Error("ca export isn't what clients were given")
	}
	// A new secret for the client: the old one goes on beside it.
	l.Secret = strings.TrimSpace(cli(t, l, "", "client", "secret", lab.Client))
	mustCall(t, l, l.NewClient())
	mustCall(t, l, c)
	// The CA rotates with overlap: both roots are trusted before the switch.
	cli(t, l, "", "ca", "rotate")
	both := cli(t, l, "", "ca", "export")
	if strings.Count(both, "BEGIN CERTIFICATE") != 2 || !l.Roots.AppendCertsFromPEM([]byte(both)) {
		t.Errorf("during a rotation export has %d roots", strings.Count(both, "BEGIN CERTIFICATE"))
	}
	cli(t, l, "", "ca", "rotate", "--activate")
	mustCall(t, l, l.NewClient())
	// The keyset rotates without downtime.
	keyset := l.StateDir() + "/keyset.json"
	cli(t, l, "", "keyset", "rotate", keyset)
	cli(t, l, "", "keyset", "promote", keyset)
	if out := cli(t, l, "", "grant", "refresh", "acme"); !strings.Contains(out, "issued") {
		t.Errorf("after the keyset's rotation grant refresh says %q", out)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCall(t, l, l.NewClient())
	cli(t, l, "", "grant", "revoke", "acme", "--yes")
	seen, err := l.Call(t.Context(), l.NewClient(), "acme")
	if err != nil || seen.Status != http.StatusBadGateway || seen.Error != "reauth_required" {
		t.Errorf("after a revocation: %d %s %v", seen.Status, seen.Error, err)
	}
	fresh, err := l.Sim.Authorize(lab.ClientID, lab.Host("acme"), "")
	if err != nil {
		t.Fatal(err)
	}
	cli(t, l, fresh.RefreshToken+"\n", "grant", "import", "acme")
	mustCall(t, l, l.NewClient())
	if led := l.Sim.Ledger(); led.Replays != 0 || led.ViolationCount[sfsim.Replay] != 0 {
		t.Errorf("%d replays", led.Replays)
	}
}
