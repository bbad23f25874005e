//go:build live

package compose_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/internal/otlptest"
)

// binary is the sallyport to run: go test -tags live ./deploy/compose -binary bin/sallyport.
var binary = flag.String("binary", "", "the sallyport to run")

// stack is local.yaml as processes. The network 172.30.31.0/24 becomes
// 127.30.31.0/24, which every Linux machine has: each service keeps an address
// of its own, and its ports. A mount becomes the file or directory behind it.
// Networks, users and limits are the engine's and are not here.
type stack struct {
	compose
	dir       string            // for volumes and rewritten files
	programs  map[string]string // by image, without its tag; "" for what does not run here
	collector string            // host:port that stands for the collector's
}

// address is the loopback address of a service.
func (s *stack) address(name string) string {
	svc := s.Services[name]
	if other, ok := strings.CutPrefix(svc.NetworkMode, "service:"); ok {
		return s.address(other)
	}
	return strings.Replace(svc.Networks["local"].Address, "172.", "127.", 1)
}

// rewrite turns a text that a service reads in its container into what it reads
// here.
func (s *stack) rewrite(name, text string) string {
	svc := s.Services[name]
	old := []string{"172.30.31.20:4317", s.collector, "172.30.31.", "127.30.31.",
		"0.0.0.0", s.address(name), "127.0.0.1", s.address(name), "/run/secrets", filepath.Join(s.dir, "secrets")}
	for _, c := range svc.Configs {
		old = append(old, c.Target, filepath.Join(s.dir, name, c.Target))
	}
	for _, v := range svc.Volumes {
		volume, rest, _ := strings.Cut(v, ":")
		target, _, _ := strings.Cut(rest, ":")
		old = append(old, target, filepath.Join(s.dir, "volumes", volume))
	}
	// Patience is no part of what is tested.
	old = append(old, "scrape_interval: 15s", "scrape_interval: 1s", "evaluation_interval: 15s", "evaluation_interval: 1s")
	return strings.NewReplacer(old...).Replace(text)
}

// command is a command of a service, with its environment.
func (s *stack) command(ctx context.Context, t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	svc := s.Services[name]
	image, _, _ := strings.Cut(svc.Image, ":")
	program := s.programs[image]
	for i := range args {
		args[i] = s.rewrite(name, args[i])
	}
	if image == "redis" || strings.HasPrefix(args[0], "/usr/local/bin/") { // it names the program itself
		if image == "redis" {
			program = args[0]
		}
		args = args[1:]
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	for k, v := range svc.Environment {
		cmd.Env = append(cmd.Env, k+"="+s.rewrite(name, v))
	}
	for _, f := range svc.EnvFile {
		for line := range strings.Lines(read(t, filepath.Join(s.dir, strings.TrimPrefix(f, "local/")))) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			cmd.Env = append(cmd.Env, name+"="+strings.Trim(value, "'"))
		}
	}
	return cmd
}

// up starts a service and returns when it is healthy. It ends with t.
func (s *stack) up(t *testing.T, name string) {
	t.Helper()
	svc := s.Services[name]
	for _, c := range svc.Configs {
		path := filepath.Join(s.dir, name, c.Target)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s.rewrite(name, read(t, s.compose.Configs[c.Source].File))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range svc.Volumes {
		volume, _, _ := strings.Cut(v, ":")
		if err := os.MkdirAll(filepath.Join(s.dir, "volumes", volume), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.command(context.WithoutCancel(t.Context()), t, name, append(slices.Clone(entrypoint(svc)), svc.Command...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // ends with the process
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		<-done
		if t.Failed() {
			t.Logf("%s said: %s", name, said.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); len(svc.Healthcheck.Test) > 0; <-time.After(50 * time.Millisecond) {
		check := s.command(t.Context(), t, name, slices.Clone(svc.Healthcheck.Test[1:])...)
		if svc.Healthcheck.Test[1] == "redis-cli" {
			check.Path, _ = exec.LookPath("redis-cli")
		}
		out, err := check.CombinedOutput()
		if err == nil {
			return
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("%s ended: %v", name, err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not healthy: %v %s", name, err, out)
		}
	}
}

// entrypoint is what an image puts before a command: the image of sallyport ends
// in serve where a service names no command.
func entrypoint(s service) []string {
	if strings.HasPrefix(s.Image, "sallyport:") && len(s.Command) == 0 {
		return []string{"serve"}
	}
	return nil
}

// exec is docker compose exec.
func (s *stack) exec(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), t, name, args...).Output()
	if err != nil {
		t.Fatalf("%s in %s: %v %s", args, name, err, out)
	}
	return string(out)
}

// newStack builds the simulator and makes the secrets, as a newcomer does.
func newStack(t *testing.T, collector string) *stack {
	t.Helper()
	path, err := filepath.Abs(*binary)
	if err != nil || *binary == "" {
		t.Fatalf("-binary is %q: %v", *binary, err)
	}
	s := &stack{compose: load(t), dir: t.TempDir(), collector: collector}
	simulator := filepath.Join(s.dir, "simulator-program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", simulator, "./simulator").CombinedOutput(); err != nil {
		t.Fatalf("the simulator: %v\n%s", err, out)
	}
	s.programs = map[string]string{"sallyport": path, "sallyport-simulator": simulator, "redis": "redis-server",
		"prom/prometheus": "prometheus", "prom/blackbox-exporter": "prometheus-blackbox-exporter"}
	for range 2 { // the second time it leaves all as it is
		cmd := exec.CommandContext(t.Context(), "./local.sh")
		cmd.Env = append(os.Environ(), "DIRECTORY="+filepath.Join(s.dir, "secrets"), "KEYSET="+path+" keyset new")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("local.sh: %v\n%s", err, out)
		}
	}
	// The URL in it names Redis' address, which is another one here.
	url := filepath.Join(s.dir, "secrets", "redis-url")
	text := s.rewrite("redis", read(t, url))
	if err := os.Remove(url); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(url, []byte(text), 0o400); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask asks Prometheus, and returns the values by their labels.
func (s *stack) ask(t *testing.T, expr string) map[string]string {
	t.Helper()
	body := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+s.address("prometheus")+":9090/api/v1/query?query="+url.QueryEscape(expr))
	var answer struct {
		Status string
		Data   struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", expr, err, body)
	}
	values := map[string]string{}
	for _, r := range answer.Data.Result {
		values[fmt.Sprint(r.Metric)] = fmt.Sprint(r.Value[1])
	}
	return values
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s %s", url, err, resp.Status, b)
	}
	return string(b)
}

// dashboard are the expressions of Grafana's dashboard by the title of their
// panel, its variables filled in.
func dashboard(t *testing.T) map[string][]string {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../grafana/sallyport.json")), &d); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "1m", "$__range", "1h", "$org", ".*", "$replica", ".*")
	all := map[string][]string{}
	for _, p := range d.Panels {
		for _, g := range p.Targets {
			all[p.Title] = append(all[p.Title], fill.Replace(g.Expr))
		}
	}
	return all
}

// TestANewcomerSeesARotation goes the way that local.yaml's head shows.
func TestANewcomerSeesARotation(t *testing.T) {
	rec := otlptest.Start(t)
	s := newStack(t, rec.Addr())
	for _, name := range []string{"redis", "simulator", "sallyport-1", "sallyport-2", "blackbox", "prometheus"} {
		s.up(t, name)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.exec(t, "sallyport-1", "/usr/local/bin/sallyport", "ca", "export"))) {
		t.Fatal("no CA")
	}
	call := func(replica, org string) {
		t.Helper()
		proxy := &url.URL{Scheme: "http", Host: s.address(replica) + ":3128",
			User: url.UserPassword("billing", strings.TrimSpace(read(t, filepath.Join(s.dir, "secrets", "billing-proxy-secret"))))}
		c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
		get(t, c, "https://"+org+".my.salesforce.com/services/data/v65.0/echo")
	}
	// One CA and one Redis for both: whoever trusts one replica trusts the other.
	for _, replica := range []string{"sallyport-1", "sallyport-2"} {
		call(replica, "acme")
		call(replica, "globex")
	}
	ready := func(expr, want string) {
		t.Helper()
		var got map[string]string
		for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); <-time.After(250 * time.Millisecond) {
			if got = s.ask(t, expr); len(got) == 1 && slices.Contains(values(got), want) {
				return
			}
		}
		t.Errorf("%s is %v, want %s", expr, got, want)
	}
	d := dashboard(t)
	ready(d["Replicas that answer"][0], "2")
	ready(d["Replicas that are degraded"][0], "0")
	ready(d["Ready"][0], "2")
	ready(`count(`+d["What /readyz tells"][0]+` == 1)`, "8")
	// A counter's first value is no increase: the second exchange of a kind is.
	for n := 1; n <= 2; n++ {
		s.exec(t, "sallyport-2", "/usr/local/bin/sallyport", "grant", "refresh", "acme")
		call("sallyport-1", "acme")
		ready(`sum(sallyport_token_exchanges_total{sallyport_org="acme", sallyport_exchange_reason="manual"})`, strconv.Itoa(n))
	}
	if story := s.exec(t, "sallyport-1", "/usr/local/bin/sallyport", "explain", "acme"); !strings.Contains(story, "generation 2 → 3") || !strings.Contains(story, "generation 3 → 4") {
		t.Errorf("the other replica doesn't tell of the exchanges:\n%s", story)
	}
	ready(`count(`+d["Exchanges by outcome"][0]+` > 0)`, "1")
	ready(`count(`+d["Exchanges by reason"][0]+` > 0)`, "1")
	ready(`count(`+d["Exchanges of an hour"][0]+` > 0)`, "1")
	if firing := s.ask(t, `ALERTS{alertstate="firing"}`); len(firing) > 0 {
		t.Errorf("alerts fire: %v", firing)
	}
	for _, exprs := range d {
		for _, e := range exprs {
			s.ask(t, e) // fails where Prometheus refuses it
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(100 * time.Millisecond) {
		if slices.ContainsFunc(rec.Spans(), func(x *trace.Span) bool { return x.GetName() == "token.exchange" }) {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the exchange is no trace")
		}
	}
	// It finds nothing to mend.
	if out, err := s.command(t.Context(), t, "sallyport-1", "/usr/local/bin/sallyport", "doctor").CombinedOutput(); err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
