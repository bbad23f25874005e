package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// acme is the host of the one org that these tests call.
const acme = "acme.my.salesforce.com"

// serving is a real sallyport in front of a simulated Salesforce, with a plain listener and one over TLS.
type serving struct {
	*lab.Lab
	dir   string
	tlsAt string // host:port of the listener over TLS
	roots string // the file that vouches for its certificate
}

func serveLab(t *testing.T) serving {
	t.Helper()
	binary, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	s := serving{dir: t.TempDir(), tlsAt: free(t)}
	s.roots = filepath.Join(s.dir, "public.pem")
	public := root(t, "Public Root")
	public.write(t, s.roots, filepath.Join(s.dir, "public.key"))
	server(t, public, "localhost").write(t, filepath.Join(s.dir, "tls.pem"), filepath.Join(s.dir, "tls.key"))
	plainAt := free(t)
	labDir := filepath.Join(s.dir, "lab")
	if err := os.Mkdir(labDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Lab, err = lab.New(lab.Options{Binary: binary, Dir: labDir, Orgs: []string{"acme"}, Session: time.Hour, Env: []string{
		"SALLYPORT_LISTEN=" + plainAt + ",https://" + s.tlsAt, "SALLYPORT_TLS_CERT=" + s.dir + "/tls.pem", "SALLYPORT_TLS_KEY=" + s.dir + "/tls.key"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Proxy = plainAt
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// sallyport runs a command line.
func (s serving) sallyport(t *testing.T, environ []string, args ...string) (stdout string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errOut, environ)
	if code == exitUsage {
		t.Fatalf("sallyport %v: %s", args, &errOut)
	}
	if strings.Contains(out.String()+errOut.String(), s.Secret) {
		t.Errorf("sallyport %v tells the secret", args)
	}
	return out.String(), code
}

func wants(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(out, line) {
			t.Errorf("there is no %q in:\n%s", line, out)
		}
	}
}

func TestClientDoctorFollowsTheWayToTheOrg(t *testing.T) {
	s := serveLab(t)
	proxy := "http://" + lab.Client + ":" + s.Secret + "@" + s.Proxy
	set := []string{"HTTPS_PROXY=" + proxy, "https_proxy=" + proxy, "SSL_CERT_FILE=" + s.CAFile()}

	out, code := s.sallyport(t, set, "doctor", "--client", "--host", acme)
	wants(t, out, "request: "+acme+" answered GET /services/data/ with 200", "trust of Go: SSL_CERT_FILE="+s.CAFile()+" has the CA and no other root")
	if code != exitDone {
		t.Errorf("exit code %d:\n%s", code, out)
	}

	_, port, err := net.SplitHostPort(s.tlsAt)
	if err != nil {
		t.Fatal(err)
	}
	secure := strings.Replace(strings.Replace(proxy, "http://", "https://", 1), s.Proxy, "localhost:"+port, 1)
	out, code = s.sallyport(t, append(set, "CURL_CA_BUNDLE="+s.roots), "doctor", "--client", "--host", acme, "--proxy", secure)
	wants(t, out, "proxy: https://billing:***@localhost:"+port+" is reached", "request: "+acme+" answered", "wrong                  trust of curl: CURL_CA_BUNDLE="+s.roots+": it lacks the CA")
	if code != exitFailed {
		t.Errorf("exit code %d for a bundle that lacks the CA", code)
	}

	out, _ = s.sallyport(t, set, "doctor", "--client", "--host", acme, "--proxy", secure)
	wants(t, out, "is reached, and TLS to it failed: it lacks the CA", "SALLYPORT_TLS_CERT")
	out, _ = s.sallyport(t, set, "doctor", "--client", "--host", acme, "--proxy", "http://localhost:"+port)
	wants(t, out, "wrong                  proxy: ", "request: no tunnel was opened")

	d := doctorCmd{Client: true, Output: "table", clientDoctor: clientDoctor{Host: acme, now: func() time.Time { return time.Now().Add(100 * time.Hour) }}}
	var told bytes.Buffer
	if err := d.Run(t.Context(), &streams{out: &told, environ: set}); !errors.Is(err, errTold) {
		t.Errorf("a clock that is ahead: %v", err)
	}
	wants(t, told.String(), "wrong                  clock: this machine's clock is ", "trust of Go: SSL_CERT_FILE="+s.CAFile()+" has the CA", "nothing was sent")
	if led := s.Sim.Ledger(); led.Exchanges != 1 || len(led.Violations) != 0 {
		t.Errorf("%d exchanges, violations %v", led.Exchanges, led.Violations)
	}
}

const javaCall = `import java.net.*; import java.net.http.*;
public class Call { public static void main(String[] a) throws Exception {
  String[] who = System.getenv("WHO").split(":");
  HttpClient c = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).proxy(ProxySelector.getDefault()).authenticator(new Authenticator() {
    protected PasswordAuthentication getPasswordAuthentication() { return new PasswordAuthentication(who[0], who[1].toCharArray()); } }).build();
  System.out.println(c.send(HttpRequest.newBuilder(URI.create(a[0])).build(), HttpResponse.BodyHandlers.ofString()).body());
}}`

const nodeCall = `const http = require('http'), https = require('https'), p = new URL(process.env.HTTPS_PROXY), u = new URL(process.argv[1]);
http.request({host: p.hostname, port: p.port, method: 'CONNECT', path: u.hostname + ':443',
  headers: {'Proxy-Authorization': 'Basic ' + Buffer.from(p.username + ':' + p.password).toString('base64')}}).on('connect', (r, socket) =>
  https.get(u, {socket, agent: false, servername: u.hostname}, (res) => { res.pipe(process.stdout); res.on('end', () => process.exit(0)); })).end();`

// Each runtime is given what env and trust print for it, by a shell, and nothing else.
func TestRuntimesTrustWhatTrustBuilds(t *testing.T) {
	s := serveLab(t)
	url := "https://" + acme + "/services/data/"
	writeFile(t, filepath.Join(s.dir, "Call.java"), []byte(javaCall))
	environ := []string{"SSL_CERT_FILE=" + s.roots}
	text, _ := s.sallyport(t, environ, "env", lab.Client, "--ca", s.CAFile(), "--proxy", "http://"+s.Proxy)
	proxyLines := ""
	for line := range strings.Lines(text) {
		if strings.Contains(line, "_PROXY=") || strings.Contains(line, "_proxy=") || strings.HasPrefix(line, ":") {
			proxyLines += line
		}
	}
	text, _ = s.sallyport(t, environ, "env", lab.Client, "--ca", s.CAFile(), "--proxy", "http://"+s.Proxy, "--properties")
	java := []string{"java"}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "javax.") {
			java = append(java, "-D"+strings.TrimSuffix(line, "\n"))
		}
	}
	for runtime, command := range map[string][]string{
		runtimeCurl:   {"curl", "-fsS", url},
		runtimePython: {"python3", "-c", "import urllib.request,sys;print(urllib.request.urlopen(sys.argv[1]).read().decode())", url},
		runtimeNode:   {"node", "-e", nodeCall, url},
		runtimeJava:   append(java, filepath.Join(s.dir, "Call.java"), url),
		runtimeGo:     {"sallyport", "doctor", "--client", "--host", acme},
	} {
		t.Run(runtime, func(t *testing.T) {
			lines, code := s.sallyport(t, environ, "trust", "--runtime", runtime, "--ca", s.CAFile(), "--out", filepath.Join(t.TempDir(), "trust of "+runtime))
			if code != exitDone {
				t.Fatalf("exit code %d", code)
			}
			script := filepath.Join(t.TempDir(), "set.sh")
			writeFile(t, script, []byte(proxyLines+lines))
			cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `. "$0"; exec "$@"`, script}, command...)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SALLYPORT_CLIENT_SECRET=" + s.Secret, "WHO=" + lab.Client + ":" + s.Secret}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "67.0") {
				t.Errorf("%v\n%s%s", err, out, stderr.String())
			}
		})
	}
}
