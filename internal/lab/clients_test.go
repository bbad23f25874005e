package lab_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// TestUnmodifiedClientsReachAnOrg calls a simulated org through serve with
// clients that know the proxy and its CA and nothing of Salesforce.
func TestUnmodifiedClientsReachAnOrg(t *testing.T) {
	l, err := lab.New(lab.Options{Binary: binary, Dir: t.TempDir(), Orgs: []string{"acme"}, Session: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	url := "https://" + lab.Host("acme") + "/services/data/v65.0/echo"
	proxy := "HTTPS_PROXY=http://" + lab.Client + ":" + l.Secret + "@" + l.Proxy
	for name, c := range map[string]struct {
		command []string
		env     []string
	}{
		"curl, HTTP/1.1":                    {[]string{"curl", "-fsS", "--http1.1", url}, []string{proxy, "CURL_CA_BUNDLE=" + l.CAFile()}},
		"curl, HTTP/2":                      {[]string{"curl", "-fsS", "--http2", url}, []string{proxy, "CURL_CA_BUNDLE=" + l.CAFile()}},
		"curl with a session id of its own": {[]string{"curl", "-fsS", "-H", "Authorization: Bearer 00D000000000001!its.own", url}, []string{proxy, "CURL_CA_BUNDLE=" + l.CAFile()}},
		"node":                              {[]string{"node", "testdata/client.mjs", url}, []string{proxy, "NODE_EXTRA_CA_CERTS=" + l.CAFile()}},
		"python":                            {[]string{"python3", "-c", "import urllib.request,sys;sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())", url}, []string{proxy, "SSL_CERT_FILE=" + l.CAFile()}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, c.env...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s%s", err, out, stderr.String())
			}
			var seen lab.Seen
			if err := json.Unmarshal(out, &seen); err != nil || seen.Fingerprint == "" {
				t.Errorf("Salesforce saw no bearer token: %v\n%s", err, out)
			}
		})
	}
	t.Run("Go", func(t *testing.T) { mustCall(t, l, l.NewClient()) })
	t.Run("a wrong secret", func(t *testing.T) {
		right := l.Secret
		l.Secret = "wrong"
		c := l.NewClient()
		l.Secret = right
		if _, err := l.Call(t.Context(), c, "acme"); err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired)) {
			t.Errorf("got %v, want 407", err)
		}
	})
	led := l.Sim.Ledger()
	if led.Exchanges != 1 || len(led.Violations) != 0 {
		t.Errorf("%d exchanges, violations %v; want one exchange and no client credential at Salesforce", led.Exchanges, led.Violations)
	}
}
