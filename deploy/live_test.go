//go:build live

package deploy_test

import (
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// binary is the sallyport that is watched, see check.sh.
var binary = flag.String("binary", "", "the sallyport to run")

// start runs serve in front of a simulated Salesforce, with an echo that sees it
// come from a registered address.
func start(t *testing.T, env ...string) *lab.Lab {
	t.Helper()
	path, err := filepath.Abs(*binary)
	if err != nil || *binary == "" {
		t.Fatalf("-binary is %q: %v", *binary, err)
	}
	echo := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "203.0.113.7") }))
	t.Cleanup(echo.Close)
	dir := t.TempDir()
	l, err := lab.New(lab.Options{Binary: path, Dir: dir, Orgs: []string{"acme", "globex"}, Session: time.Hour, Env: append([]string{
		"SALLYPORT_EGRESS_ALLOWED=203.0.113.0/29", "SALLYPORT_EGRESS_ECHO_URL=https://example.com/ip"}, env...)})
	if err != nil {
		t.Fatal(err)
	}
	roots, err := os.OpenFile(filepath.Join(dir, "salesforce-ca.pem"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := pem.Encode(roots, &pem.Block{Type: "CERTIFICATE", Bytes: echo.Certificate().Raw}); err != nil {
		t.Fatal(err)
	}
	if err := roots.Close(); err != nil {
		t.Fatal(err)
	}
	for i, e := range l.Env {
		if strings.HasPrefix(e, "SALLYPORT_RESOLVE=") {
			l.Env[i] = e + ",example.com:443=" + echo.Listener.Addr().String()
		}
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

func call(t *testing.T, l *lab.Lab, c *http.Client, org string, want int) {
	t.Helper()
	if seen, err := l.Call(t.Context(), c, org); err != nil || seen.Status != want {
		t.Errorf("a call to %s: %d %s %v, want %d", org, seen.Status, seen.Body, err, want)
	}
}

// fetch is what a listener answers to GET.
func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExpressionsParse has promtool parse each expression of the rules and of
// the dashboard.
func TestExpressionsParse(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n  - name: all\n    rules:\n")
	all := expressions(t)
	for i, where := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "      - {record: 'e%d', expr: %q}\n", i, all[where])
	}
	file := filepath.Join(t.TempDir(), "all.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d rules found", len(all))) {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// elsewhere are metrics that sallyport itself doesn't tell.
var elsewhere = map[string]string{
	"up":            "Prometheus' own, one for each target",
	"ALERTS":        "Prometheus' own, of the rules",
	"probe_success": "the blackbox exporter's, see TestProbesOfReadyz",
}

// rare are metrics that no healthy run tells, and why this run doesn't either.
var rare = map[string]string{
	"sallyport_egress_strangers_total": "Salesforce must have recorded a login from elsewhere",
}

// TestEveryMetricIsTold holds the names of metrics and of their labels in all
// expressions against what serve tells in a run with an exchange, a race, a
// lock, a refusal, a doubt and a near miss.
func TestEveryMetricIsTold(t *testing.T) {
	l := start(t, "SALLYPORT_EXCHANGE_TIMEOUT=2s", "SALLYPORT_TAKEOVER_AFTER=4s", "SALLYPORT_TOKEN_WAIT=10s")
	l.Sim.Inject(sfsim.DelayAfter(1600 * time.Millisecond)) // under 30 % of two seconds are left
	c := l.NewClient()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { call(t, l, c, "acme", http.StatusOK) })
	}
	wg.Wait()
	l.Sim.Inject(sfsim.OAuthError("invalid_grant", "expired access/refresh token"))
	call(t, l, c, "globex", http.StatusBadGateway)

	told := map[string]map[string]bool{} // labels by metric
	series := regexp.MustCompile(`^([a-z_]+)(?:{(.*)})? `)
	label := regexp.MustCompile(`([a-z_]+)="`)
	for line := range strings.Lines(fetch(t, "http://"+l.Admin+"/metrics")) {
		if m := series.FindStringSubmatch(line); m != nil {
			if told[m[1]] == nil {
				told[m[1]] = map[string]bool{}
			}
			for _, k := range label.FindAllStringSubmatch(m[2], -1) {
				told[m[1]][k[1]] = true
			}
		}
	}
	records, _ := loadRules(t)
	recorded := map[string]bool{}
	for _, r := range records {
		recorded[r.Record] = true
	}
	selector := regexp.MustCompile(`\b((?:sallyport|http|process|go|up|probe|ALERTS)[a-z_:0-9]*)\b(?:{([^}]*)})?`)
	keyword := regexp.MustCompile(`(?:\b(?:by|on|unless|and) )\([^)]*\)|"[^"]*"`)
	for where, e := range expressions(t) {
		found := 0
		for _, m := range selector.FindAllStringSubmatch(keyword.ReplaceAllStringFunc(e, func(s string) string {
			if s[0] == '"' {
				return `""`
			}
			return ""
		}), -1) {
			found++
			name := m[1]
			if elsewhere[name] != "" || recorded[name] {
				continue
			}
			if told[name] == nil {
				if rare[name] == "" {
					t.Errorf("%s asks for %s, which serve doesn't tell", where, name)
				}
				continue
			}
			if rare[name] != "" {
				t.Errorf("%s is told: it isn't rare", name)
			}
			for _, k := range regexp.MustCompile(`([a-z_]+)\s*[=!]`).FindAllStringSubmatch(m[2], -1) {
				if k[1] != "job" && k[1] != "instance" && !told[name][k[1]] {
					t.Errorf("%s asks for the label %s, which %s hasn't", where, k[1], name)
				}
			}
		}
		if found == 0 {
			t.Errorf("no metric was found in %s: %s", where, e)
		}
	}
}

// TestProbesOfReadyz runs the blackbox exporter against a serve that is well,
// and against one with a grant in doubt.
func TestProbesOfReadyz(t *testing.T) {
	l := start(t, "SALLYPORT_EXCHANGE_TIMEOUT=2s", "SALLYPORT_TAKEOVER_AFTER=4s")
	c := l.NewClient()
	call(t, l, c, "acme", http.StatusOK)
	n, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := n.Addr().String()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "prometheus-blackbox-exporter", "--config.file=prometheus/blackbox.yml", "--web.listen-address="+addr)
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		d := net.Dialer{}
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			_ = conn.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
	ask := func(want map[string]string) {
		t.Helper()
		for module, v := range want {
			said := fetch(t, "http://"+addr+"/probe?module=sallyport_"+module+"&target=http://"+l.Admin+"/readyz")
			if !strings.Contains(said, "\nprobe_success "+v+"\n") {
				t.Errorf("module %s doesn't say %s of %s:\n%s", module, v, fetch(t, "http://"+l.Admin+"/readyz"), said)
			}
		}
	}
	ask(map[string]string{"ready": "1", "degraded": "1", "store": "1", "journal": "1"})
	l.Sim.Inject(sfsim.LoseAnswer())
	if _, _, err := l.AdminCall(ctx, http.MethodPost, "/v1/orgs/acme/refresh?wait=10s", nil); err != nil {
		t.Fatal(err)
	}
	ask(map[string]string{"ready": "1", "degraded": "0", "store": "1", "journal": "1"})
}

// TestCommandsOfRunbooksExist asks the binary for the help of each command that
// a runbook names: an unknown command or flag has none.
func TestCommandsOfRunbooksExist(t *testing.T) {
	path, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`^sallyport((?: [a-z]+)+)(.*)$`)
	helps := map[string]string{}
	for _, f := range runbooks(t) {
		for _, line := range commands(read(t, "runbooks/"+f)) {
			m := words.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if _, known := helps[m[1]]; !known {
				out, err := exec.CommandContext(t.Context(), path, append(strings.Fields(m[1]), "--help")...).CombinedOutput()
				if err != nil || strings.Contains(string(out), "\nCommands:\n") {
					t.Errorf("%s: sallyport%s is no command: %v\n%s", f, m[1], err, out)
				}
				helps[m[1]] = string(out)
			}
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
				if !strings.Contains(helps[m[1]], flag) {
					t.Errorf("%s: sallyport%s has no %s", f, m[1], flag)
				}
			}
		}
	}
}

// expressions are all PromQL that the rules and the dashboard hold, by where
// they stand, with Grafana's variables filled in.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	records, alerts := loadRules(t)
	for _, r := range slices.Concat(records, alerts) {
		all["rules.yml: "+r.Record+r.Alert] = r.Expr
	}
	d := loadDashboard(t)
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h", "$org", ".*", "$replica", ".*")
	for _, p := range d.Panels {
		for _, g := range p.Targets {
			all["sallyport.json: "+p.Title+" "+g.RefID] = fill.Replace(g.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all["sallyport.json: annotations"] = fill.Replace(a.Expr)
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.*), \w+\)$`).FindStringSubmatch(v.Definition); m != nil {
			all["sallyport.json: variable "+v.Name] = m[1]
		}
	}
	for where, e := range all {
		if strings.Contains(e, "$") {
			t.Errorf("%s has a variable that is not filled in: %s", where, e)
		}
	}
	return all
}
