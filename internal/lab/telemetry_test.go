package lab_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/otlptest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
	"github.com/sallyport/sallyport/tokens/boltstore"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/salesforce"

	"github.com/sallyport/sallyport/tokens"
)

// querySecret stands for a client's query string, which nothing may repeat.
const querySecret = "SELECT-of-no-business-of-ours"

// logs gathers what serve says.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTracesTellWhatHappenedAndNothingTellsASecret runs a serve that traces to
// an OTLP receiver through a cached call, an exchange with waiters, and a dead
// session, and then searches all that it ever said or wrote for every secret
// of the run.
func TestTracesTellWhatHappenedAndNothingTellsASecret(t *testing.T) {
	rec, said := otlptest.Start(t), &logs{}
	l, err := lab.New(lab.Options{Binary: binary, Dir: t.TempDir(), Orgs: []string{"acme"}, Session: time.Hour, Stderr: said, Env: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + rec.Addr(), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50",
		"OTEL_METRICS_EXPORTER=none", "SALLYPORT_LOG_LEVEL=debug",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			if err := l.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	c := l.NewClient()
	var wg sync.WaitGroup
	release := make(chan struct{})
	l.Sim.Inject(sfsim.Hold(release))
	for range 20 { // the first token: one exchange that twenty wait for
		wg.Go(func() { mustCall(t, l, c) })
	}
	awaitMetric(ctx, t, l, `sallyport_token_waiting{[^}]*sallyport_org="acme"[^}]*} 20`)
	close(release)
	wg.Wait()
	mustCall(t, l, c) // cached
	l.Sim.KillGrantAccess(l.Grants["acme"].ID)
	mustCall(t, l, c) // a dead session
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+lab.Host("acme")+"/services/data/v65.0/query?q="+querySecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	shown := otherWays(t, l, c)
	outputs := adminOutputs(ctx, t, l)
	if limit, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", l.Pid())); err != nil || !hasCoreLimitZero(string(limit)) {
		t.Errorf("serve could write a core file: %v\n%s", err, limit)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	outputs["the command line"] = cmdline
	stopped = true
	if err := l.Close(ctx); err != nil { // flushes spans and logs
		t.Fatal(err)
	}
	spans := rec.Spans()
	for i, s := range spans {
		b, err := proto.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		outputs[fmt.Sprintf("span %d %s", i, s.GetName())] = b
	}
	outputs["the logs"] = []byte(said.String())

	t.Run("the span tree", func(t *testing.T) {
		exchanges := named(spans, "token.exchange")
		if len(exchanges) != 2 {
			t.Fatalf("%d exchange spans, want 2", len(exchanges))
		}
		for i, why := range []string{"first", "rejected"} {
			x := exchanges[i]
			want := []string{"journal.append", "journal.append", "lock.acquire", "salesforce.connect", "salesforce.token", "store.commit", "store.commit"}
			if d := cmp.Diff(want, slices.DeleteFunc(children(spans, x), func(n string) bool { return n == "salesforce.introspect" })); d != "" {
				t.Errorf("inside the exchange (%s):\n%s", why, d)
			}
			if got := attribute(x, "sallyport.exchange.reason"); got != why {
				t.Errorf("reason %q, want %q", got, why)
			}
			if len(x.GetParentSpanId()) != 0 {
				t.Error("an exchange is no trace of its own")
			}
			if attribute(x, "sallyport.org") != "acme" || attribute(x, "sallyport.exchange.outcome") != "issued" || attribute(x, "sallyport.attempt") == "" {
				t.Errorf("attributes %v", x.GetAttributes())
			}
		}
		waits := named(spans, "token.wait")
		linked := 0
		for _, w := range waits {
			for _, k := range w.GetLinks() {
				if string(k.GetSpanId()) == string(exchanges[0].GetSpanId()) {
					linked++
					break
				}
			}
		}
		if linked != 20 {
			t.Errorf("%d of %d waiters link to the first exchange, want 20", linked, len(waits))
		}
		cached := 0
		for _, r := range named(spans, "proxy.request") {
			for _, g := range named(spans, "token.get") {
				if string(g.GetParentSpanId()) == string(r.GetSpanId()) && len(children(spans, g)) == 0 {
					cached++
				}
			}
		}
		if cached == 0 {
			t.Error("no cached call: proxy.request with token.get and nothing below")
		}
	})
	t.Run("no secret", func(t *testing.T) {
		secrets := secretsOf(t, l)
		maps.Copy(secrets, shown)
		for name, b := range files(t, l) {
			outputs[name] = b
		}
		for where, b := range outputs {
			for what, s := range secrets {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%s is in %s", what, where)
				}
			}
		}
	})
}

// otherWays calls by every way that has a client's credential elsewhere than in
// a proxy's header, and returns what it showed and got.
func otherWays(t *testing.T, l *lab.Lab, tunnel *http.Client) map[string]string {
	t.Helper()
	const dummy, soap = "a-dummy-of-the-clients-own", "/services/Soap/u/65.0"
	base := "http://" + l.Proxy + "/org/acme"
	secrets := map[string]string{"a dummy": dummy}
	ask := func(c *http.Client, want int, url, kind, body, authorization string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d %s %v, want %d", url, resp.StatusCode, b, err, want)
		}
		return string(b)
	}
	envelope := func(session, body string) string {
		return `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><e:Header>` + session +
			"</e:Header><e:Body>" + body + "</e:Body></e:Envelope>"
	}
	carried := func(session string) string {
		return envelope("<SessionHeader><sessionId>"+session+"</sessionId></SessionHeader>", "<getUserInfo/>")
	}
	const form, xml = "application/x-www-form-urlencoded", "text/xml"
	direct, host := &http.Client{}, "https://"+lab.Host("acme")
	refresh := "grant_type=refresh_token&client_id=" + dummy + "&client_secret=" + dummy + "&refresh_token=" + dummy
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(ask(tunnel, 200, host+"/services/oauth2/token", form, refresh, "")), &got); err != nil || got.AccessToken == "" {
		t.Fatal("no placeholder", err)
	}
	secrets["a placeholder"] = got.AccessToken
	own := lab.Client + ":" + l.Secret
	ask(tunnel, 200, host+soap, xml, carried(dummy), "Bearer "+dummy)
	ask(direct, 200, base+soap, xml, carried(own), "")
	ask(direct, 200, base+soap, xml, carried(got.AccessToken), "")
	ask(direct, 200, base+soap, xml, envelope("", "<login><username>"+lab.Client+"</username><password>"+l.Secret+"</password></login>"), "")
	ask(direct, 401, base+soap, xml, envelope("", "<login><username>"+lab.Client+"</username><password>"+dummy+"</password></login>"), "")
	ask(direct, 401, base+"/services/data/v65.0/echo", form, "", "Bearer "+dummy)
	ask(direct, 401, base+"/services/data/v65.0/echo", form, "", "Bearer "+lab.Client+":"+dummy)
	return secrets
}

// awaitMetric waits until a line of serve's metrics matches pattern.
func awaitMetric(ctx context.Context, t *testing.T, l *lab.Lab, pattern string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	var said []byte
	for range 300 {
		var err error
		if _, said, err = l.AdminCall(ctx, http.MethodGet, "/metrics", nil); err == nil && line.Match(said) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("no line of the metrics matches %s:\n%s", pattern, said)
}

func mustCall(t *testing.T, l *lab.Lab, c *http.Client) {
	if seen, err := l.Call(t.Context(), c, "acme"); err != nil || seen.Status != http.StatusOK {
		t.Errorf("a call failed: %d %s %v", seen.Status, seen.Body, err)
	}
}

func hasCoreLimitZero(limits string) bool {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.Fields(rest)[0] == "0"
		}
	}
	return false
}

// adminOutputs is what the admin API and the metrics tell.
func adminOutputs(ctx context.Context, t *testing.T, l *lab.Lab) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, p := range []string{"/readyz", "/metrics", "/v1/orgs", "/v1/orgs/acme", "/v1/apps", "/v1/clients", "/v1/exchanges", "/v1/doctor", "/v1/ca"} {
		status, b, err := l.AdminCall(ctx, http.MethodGet, p, nil)
		if err != nil || status != http.StatusOK {
			t.Errorf("GET %s: %d %v", p, status, err)
		}
		out[p] = b
	}
	status, b, err := l.AdminCall(ctx, http.MethodPut, "/v1/orgs/acme/grant", []byte(`{"refreshToken":"5Aep861.a-token-that-is-unknown"}`))
	if err != nil {
		t.Error(err)
	}
	out[fmt.Sprintf("PUT grant (%d)", status)] = b
	for _, name := range []string{"sallyport_token_exchanges_total", "sallyport_grant_state", "sallyport_proxy_overhead", "http_server_request_duration"} {
		if !bytes.Contains(out["/metrics"], []byte(name)) {
			t.Errorf("no metric %s", name)
		}
	}
	return out
}

// secretsOf is every secret that the run knew.
func secretsOf(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(l.StateDir(), "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s := map[string]string{"the app's secret": lab.ClientSecret, "the client's secret": l.Secret, "the admin token": string(token), "the query string": querySecret,
		"the client's credentials": base64.StdEncoding.EncodeToString([]byte(lab.Client + ":" + l.Secret)), "an imported token": "5Aep861.a-token-that-is-unknown"}
	for org, g := range l.Grants {
		s["the seed of "+org], s["the first access token of "+org] = g.RefreshToken, g.AccessToken
	}
	for i, issued := range l.Sim.Secrets() {
		s[fmt.Sprintf("secret %d that Salesforce knew", i)] = issued
	}
	raw, err := os.ReadFile(filepath.Join(l.StateDir(), "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.ParseKeyring(raw)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Dir: filepath.Join(l.StateDir(), "journal"), Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range j.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if issue, err := salesforce.Parse(e.Answer); err == nil {
			s["a rotated token of "+string(e.Attempt)], s["an access token of "+string(e.Attempt)] = issue.Refresh.Reveal(), issue.Access.Reveal()
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := boltstore.Open(boltstore.Options{Path: filepath.Join(l.StateDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := st.Load(t.Context(), tokens.OrgID("acme"))
	if err != nil {
		t.Fatal(err)
	}
	for field, sealed := range map[string][]byte{tokens.FieldRefresh: r.Refresh, tokens.FieldAccess: r.Access} {
		plain, err := keys.Open(sealed, "acme", field)
		if err != nil {
			t.Fatal(err)
		}
		s["the kept "+field] = string(plain)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s) < 11 {
		t.Errorf("only %d secrets are known", len(s))
	}
	return s
}

// files is every file of the state directory but the two that are secrets by
// their nature, which must be their owner's alone.
func files(t *testing.T, l *lab.Lab) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(l.StateDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %#o", path, info.Mode().Perm())
		}
		if !info.Mode().IsRegular() || d.Name() == "keyset.json" || d.Name() == "admin.token" {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		out["the file "+path], err = io.ReadAll(f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
