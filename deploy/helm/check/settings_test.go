package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readme is the repository's, with the table of all settings that is made from
// config's own struct.
const readme = "../../../README.md"

var variable = regexp.MustCompile("(?m)^\\| `(SALLYPORT_[A-Z_]+)`")

// managed are set by the chart itself, from values of their own. The admin
// listener's certificate is by design not among its values: /v1/ is reached by
// kubectl exec.
var managed = []string{
	"SALLYPORT_ADMIN_LISTEN", "SALLYPORT_ADMIN_TLS_CERT", "SALLYPORT_ADMIN_TLS_KEY", "SALLYPORT_ADMIN_TOKEN", "SALLYPORT_APPLY",
	"SALLYPORT_CA_CERT", "SALLYPORT_CA_KEY", "SALLYPORT_KEYSET", "SALLYPORT_LISTEN", "SALLYPORT_LOCAL_CALLERS", "SALLYPORT_PLAINTEXT",
	"SALLYPORT_REDIS_CA_FILE", "SALLYPORT_REDIS_CERT", "SALLYPORT_REDIS_KEY", "SALLYPORT_STATE_DIR", "SALLYPORT_STORE", "SALLYPORT_TLS_CERT",
	"SALLYPORT_TLS_CLIENT_CA", "SALLYPORT_TLS_CLIENT_CRL", "SALLYPORT_TLS_KEY", "SALLYPORT_UPSTREAM_CA_FILE",
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSettingsAreTheVariablesOfServe(t *testing.T) {
	var known []string
	for _, m := range variable.FindAllSubmatch(read(t, readme), -1) {
		known = append(known, string(m[1]))
	}
	var schema struct {
		Properties struct {
			Settings struct {
				Properties map[string]any `json:"properties"`
			} `json:"settings"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(chart, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	have := slices.Clone(managed)
	for name := range schema.Properties.Settings.Properties {
		have = append(have, name)
	}
	slices.Sort(known)
	slices.Sort(have)
	if len(known) == 0 || !slices.Equal(known, have) {
		t.Errorf("serve knows\n  %v\nthe schema's settings and the chart's own are\n  %v", known, have)
	}
}

// serve tells all faults of its environment at once, before it touches
// anything. With one that is made up, it must tell that one alone.
func TestServeTakesEveryRenderedEnvironment(t *testing.T) {
	const madeUp = "SALLYPORT_MADE_UP_BY_A_TEST"
	for _, set := range sets() {
		for _, p := range pods(t, renderSet(t, set)) {
			_, said := run(t, append(environ(t, p), madeUp+"=1"), *binary, p.our.Args...)
			told := regexp.MustCompile(`SALLYPORT_[A-Z_]+:`).FindAllString(said, -1)
			if !slices.Equal(told, []string{madeUp + ":"}) {
				t.Errorf("%s: serve says\n%s", set, said)
			}
		}
	}
}

// environ is what a container of the pod gets, with a text for each secret.
func environ(t *testing.T, p pod) []string {
	t.Helper()
	var all []string
	seen := map[string]bool{}
	for _, e := range p.our.Env {
		if seen[e.Name] {
			t.Errorf("%s stands twice", e.Name)
		}
		seen[e.Name] = true
		value := e.Value
		if e.ValueFrom != nil {
			if value = "http://user:made-up@proxy.example:3128"; !strings.HasSuffix(e.Name, "_PROXY") {
				value = "made-up-by-a-test"
			}
		}
		all = append(all, e.Name+"="+value)
	}
	return all
}
