package lab_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveFor runs serve until it ends or, where it goes on, for the duration.
func serveFor(t *testing.T, d time.Duration, env ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_ADMIN_LISTEN=127.0.0.1:0"}, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

// TestBadInputIsRefusedWithPlaceAndReason starts serve with everything that an
// operator gets wrong: a clear message, exit code 2, nothing begun.
func TestBadInputIsRefusedWithPlaceAndReason(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	faulty := write("faulty.yaml", `apps:
  - {name: a, clientId: x, clientSecret: env:NOPE}
  - {name: a, clientId: y}
orgs:
  - {name: o, app: b, loginUrl: 'https://evil.example', grant: refresh_token, colour: red}
`, 0o600)
	for name, c := range map[string]struct {
		env  []string
		says []string
	}{
		"an unknown variable, a port out of range, no duration: all at once": {
			[]string{"SALLYPORT_STATEDIR=/x", "SALLYPORT_LISTEN=127.0.0.1:99999", "SALLYPORT_TOKEN_WAIT=soon"},
			[]string{"SALLYPORT_STATEDIR", "SALLYPORT_STATE_DIR", "99999", "SALLYPORT_TOKEN_WAIT"}},
		"client certificates without TLS":       {[]string{"SALLYPORT_TLS_CLIENT_CA=/ca.pem"}, []string{"SALLYPORT_TLS_CLIENT_CA"}},
		"a shared store without shared secrets": {[]string{"SALLYPORT_STORE=redis://localhost"}, []string{"SALLYPORT_KEYSET", "SALLYPORT_ADMIN_TOKEN"}},
		"addresses that nothing verifies":       {[]string{"SALLYPORT_EGRESS_ALLOWED=203.0.113.7/32"}, []string{"SALLYPORT_EGRESS_ECHO_URL"}},
		"a state directory that others read":    {[]string{"SALLYPORT_STATE_DIR=" + open}, []string{"chmod 700"}},
		"a listener that anyone reaches":        {[]string{"SALLYPORT_LISTEN=0.0.0.0:0"}, []string{"SALLYPORT_PLAINTEXT"}},
		"the same without clients":              {[]string{"SALLYPORT_LISTEN=0.0.0.0:0", "SALLYPORT_PLAINTEXT=allow"}, []string{"no clients"}},
		"a resources file that isn't there":     {[]string{"SALLYPORT_APPLY=" + filepath.Join(dir, "gone.yaml")}, []string{"SALLYPORT_APPLY", "no such file"}},
		"a resources file full of faults":       {[]string{"SALLYPORT_APPLY=" + faulty}, []string{"faulty.yaml:2", "NOPE", "faulty.yaml:3", "named twice", "colour", "evil.example"}},
		"a keyset that others read":             {[]string{"SALLYPORT_KEYSET=" + write("open.json", "{}", 0o644)}, []string{"SALLYPORT_KEYSET", "chmod 600"}},
		"a keyset that is none":                 {[]string{"SALLYPORT_KEYSET=" + write("none.json", "{}", 0o600)}, []string{"SALLYPORT_KEYSET"}},
		"roots that are none":                   {[]string{"SALLYPORT_UPSTREAM_CA_FILE=" + write("none.pem", "x", 0o600)}, []string{"SALLYPORT_UPSTREAM_CA_FILE"}},
		"a simulator without its roots":         {[]string{"SALLYPORT_RESOLVE=a.my.salesforce.com:443=127.0.0.1:1"}, []string{"SALLYPORT_RESOLVE", "SALLYPORT_UPSTREAM_CA_FILE"}},
		"a takeover shorter than two exchanges": {[]string{"SALLYPORT_TAKEOVER_AFTER=10s"}, []string{"SALLYPORT_TAKEOVER_AFTER"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := filepath.Join(t.TempDir(), "state")
			code, said := serveFor(t, 20*time.Second, append([]string{"SALLYPORT_STATE_DIR=" + state}, c.env...)...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, s := range c.says {
				if !strings.Contains(said, s) {
					t.Errorf("it doesn't say %q:\n%s", s, said)
				}
			}
		})
	}
}

// TestAStateDirectoryBelongsToItsKeysetAndToOneProcess starts serve on a state
// directory whose keyset is gone, is another, or that a process uses.
func TestAStateDirectoryBelongsToItsKeysetAndToOneProcess(t *testing.T) {
	dir := t.TempDir()
	state := "SALLYPORT_STATE_DIR=" + filepath.Join(dir, "state")
	if code, said := serveFor(t, 2*time.Second, state); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	keyset, aside := filepath.Join(dir, "state", "keyset.json"), filepath.Join(dir, "aside.json")
	if err := os.Rename(keyset, aside); err != nil {
		t.Fatal(err)
	}
	if code, said := serveFor(t, 20*time.Second, state); code != 2 || !strings.Contains(said, "restore the file") {
		t.Errorf("without its keyset: exit code %d: %s", code, said)
	}
	other, err := exec.CommandContext(t.Context(), binary, "keyset", "new").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyset, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := serveFor(t, 20*time.Second, state); code != 2 || !strings.Contains(said, "doesn't open") {
		t.Errorf("with another keyset: exit code %d: %s", code, said)
	}
	if err := os.Rename(aside, keyset); err != nil {
		t.Fatal(err)
	}
	first := make(chan int, 1)
	go func() { // ends after its time
		code, _ := serveFor(t, 4*time.Second, state)
		first <- code
	}()
	<-time.After(1500 * time.Millisecond)
	if code, said := serveFor(t, 20*time.Second, state); code != 2 || !strings.Contains(said, "another sallyport") {
		t.Errorf("a second process: exit code %d: %s", code, said)
	}
	if code := <-first; code != 0 {
		t.Errorf("the first process ended with %d", code)
	}
}
