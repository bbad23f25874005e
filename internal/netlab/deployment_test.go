package netlab_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/sfsim"
)

const (
	clientID     = "3MVG9.netlab"
	clientSecret = "netlab-app-secret-of-no-worth"
	proxySecret  = "billing-proxy-secret-of-no-worth"
	adminToken   = "admin-token-of-no-worth"
)

// deployment is Salesforce, a Redis, and the replicas in front of them.
type deployment struct {
	t    *testing.T
	sim  *sfsim.Sim
	orgs []string
	dir  string
	env  []string // of every replica
}

// deploy starts Salesforce at both of its addresses, with an echo on port 8443,
// and a Redis. The app's allowlist holds registered; sessions are locked to the
// address that they began from.
func deploy(t *testing.T, registered string, orgs ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, orgs: orgs, dir: t.TempDir()}
	var err error
	if d.sim, err = sfsim.New(sfsim.Options{SessionTimeout: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := d.sim.AddApp(sfsim.App{ClientID: clientID, ClientSecret: clientSecret, RTR: true, PKCE: true, SecretRequiredForRefresh: true,
		Allowlist: ranges(t, registered)}); err != nil {
		t.Fatal(err)
	}
	ca, err := redistest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{salesforce4, salesforce6} {
		server, err := d.sim.Start(net.JoinHostPort(ip, "443"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		echo(t, ca, net.JoinHostPort(ip, "8443"))
	}
	d.write("roots.pem", string(d.sim.CAPEM())+string(ca.PEM()))
	keys, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	d.write("keyset.json", string(keys))
	redis := exec.Command("redis-server", "--port", "6379", "--bind", inside, "--protected-mode", "no", "--save", "", "--appendonly", "yes", "--dir", d.dir)
	redis.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = redis.Process.Kill()
		_ = redis.Wait() // it was killed
	})
	d.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "APP_SECRET=" + clientSecret, "PROXY_SECRET=" + proxySecret,
		"SALLYPORT_STORE=redis://" + inside + ":6379/0", "SALLYPORT_KEYSET=" + d.path("keyset.json"), "SALLYPORT_ADMIN_TOKEN=" + adminToken,
		"SALLYPORT_PLAINTEXT=allow", "SALLYPORT_UPSTREAM_CA_FILE=" + d.path("roots.pem"),
		"SALLYPORT_EGRESS_ALLOWED=" + registered, "SALLYPORT_EGRESS_ECHO_URL=https://localhost:8443/"}
	for _, name := range orgs {
		if _, err := d.sim.AddOrg(sfsim.Org{Host: host(name), LockSessionsToIP: true}); err != nil {
			t.Fatal(err)
		}
		g, err := d.sim.Authorize(clientID, host(name), "")
		if err != nil {
			t.Fatal(err)
		}
		d.env = append(d.env, "SEED_"+strings.ToUpper(name)+"="+g.RefreshToken)
	}
	return d
}

func host(org string) string { return org + ".my.salesforce.com" }

func ranges(t *testing.T, list string) (all []sfsim.IPRange) {
	t.Helper()
	for _, r := range strings.Split(list, ",") {
		from, to, ok := strings.Cut(r, "-")
		if !ok {
			to = from
		}
		all = append(all, sfsim.IPRange{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)})
	}
	return all
}

// echo answers the caller's address, as a public service would.
func echo(t *testing.T, ca *redistest.CA, addr string) {
	t.Helper()
	cert, key, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, from)
	})}
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = s.Close() })
}

func (d *deployment) path(name string) string { return filepath.Join(d.dir, name) }

func (d *deployment) write(name, text string) string {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return d.path(name)
}

// resources is a file in which each org is pinned to the address beside it.
func (d *deployment) resources(pins map[string]string) string {
	text := "apps:\n  - {name: lab, clientId: '" + clientID + "', clientSecret: env:APP_SECRET}\norgs:\n"
	for _, name := range d.orgs {
		pin := ""
		if a := pins[name]; a != "" {
			pin = ", egress: '" + a + "'"
		}
		text += fmt.Sprintf("  - {name: %s, app: lab, loginUrl: 'https://%s', grant: refresh_token, refreshToken: env:SEED_%s, sessionTimeout: 1h%s}\n",
			name, host(name), strings.ToUpper(name), pin)
	}
	text += "clients:\n  - {name: billing, secret: env:PROXY_SECRET, orgs: [" + strings.Join(d.orgs, ", ") + "]}\n"
	return d.write("resources.yaml", text)
}

// replica is a serve on a machine.
type replica struct {
	*deployment
	m     *machine
	env   []string
	serve *exec.Cmd
	said  string // the file of its log
}

// start starts a replica on m and waits until it serves. Salesforce and the
// echo have the address that far is.
func (d *deployment) start(m *machine, far string, env ...string) *replica {
	d.t.Helper()
	r := &replica{deployment: d, m: m, said: d.path("log-" + m.pid)}
	resolve := "localhost:8443=" + net.JoinHostPort(far, "8443")
	for _, name := range d.orgs {
		resolve += "," + host(name) + ":443=" + net.JoinHostPort(far, "443")
	}
	r.env = slices.Concat(d.env, []string{"SALLYPORT_RESOLVE=" + resolve, "SALLYPORT_LISTEN=" + m.addr + ":3128",
		"SALLYPORT_STATE_DIR=" + d.path("state-"+m.pid), "SALLYPORT_APPLY=" + d.path("resources.yaml")}, env)
	r.rise()
	d.t.Cleanup(r.fall)
	return r
}

func (r *replica) rise() {
	r.t.Helper()
	r.serve = r.m.command(binary, "serve")
	r.serve.Env = r.env
	said, err := os.OpenFile(r.said, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer said.Close()
	r.serve.Stdout, r.serve.Stderr = said, said
	if err := r.serve.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		if _, err := r.try("healthcheck"); err == nil {
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(r.said)
			r.t.Fatalf("a replica doesn't become ready:\n%s", text)
		}
		wait := time.NewTimer(50 * time.Millisecond)
		<-wait.C
	}
}

// fall ends the replica gently.
func (r *replica) fall() {
	_ = r.serve.Process.Signal(syscall.SIGTERM)
	_ = r.serve.Wait() // its log tells
}

// again starts the replica anew with env beside what it had.
func (r *replica) again(env ...string) {
	r.t.Helper()
	r.fall()
	r.env = append(r.env, env...)
	r.rise()
}

// try runs a command of sallyport on the replica's machine.
func (r *replica) try(args ...string) (string, error) {
	cmd := r.m.command(binary, args...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *replica) run(args ...string) string {
	r.t.Helper()
	out, err := r.try(args...)
	if err != nil {
		r.t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// call asks org's API through the replica, and returns the status and what a
// caller reads.
func (r *replica) call(org string) (int, string) {
	r.t.Helper()
	ca := r.run("ca", "export")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: r.m.addr + ":3128", User: url.UserPassword("billing", proxySecret)}),
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host(org)+"/services/data/v65.0/limits", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

func (r *replica) serves(org string) {
	r.t.Helper()
	if status, body := r.call(org); status != http.StatusOK {
		log, _ := os.ReadFile(r.said)
		r.t.Fatalf("%s by %s: %d %s\n%s", org, r.m.addr, status, body, log)
	}
}

// refuses checks that org isn't served here, and that the caller reads why.
func (r *replica) refuses(org, why string) {
	r.t.Helper()
	status, body := r.call(org)
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "SALLYPORT_EGRESS_UNVERIFIED") || !strings.Contains(body, why) {
		r.t.Fatalf("%s by %s: %d %s, want 503 egress_unverified and %q", org, r.m.addr, status, body, why)
	}
}

// told waits until the replica has said what.
func (r *replica) told(what string) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		text, err := os.ReadFile(r.said)
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(string(text), what) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("a replica didn't say %q:\n%s", what, text)
		}
		wait := time.NewTimer(20 * time.Millisecond)
		<-wait.C
	}
}

// seen fails unless all that Salesforce's ledger holds of org came from addr,
// and that is what wants exchanges were made; it returns introspections and
// revocations.
func (d *deployment) seen(org, addr string, exchanges int) (asked, revoked int) {
	d.t.Helper()
	l := d.sim.Ledger()
	made := 0
	check := func(what, at string, from netip.Addr) bool {
		if at == host(org) && from != netip.MustParseAddr(addr) {
			d.t.Errorf("%s of %s came from %v, want %s", what, org, from, addr)
		}
		return at == host(org)
	}
	for _, x := range l.Tokens {
		if check("a token request", x.Host, x.Source) {
			made++
		}
	}
	for _, x := range l.Introspections {
		if check("an introspection", x.Host, x.Source) {
			asked++
		}
	}
	for _, x := range l.Revocations {
		if check("a revocation", x.Host, x.Source) {
			revoked++
		}
	}
	if made != exchanges {
		d.t.Errorf("%d token requests of %s, want %d", made, org, exchanges)
	}
	if l.Replays != 0 {
		d.t.Errorf("%d replays", l.Replays)
	}
	return asked, revoked
}
