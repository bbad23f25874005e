package check_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is the longest that anything here may take on a busy machine.
const patience = time.Minute

// nowhere is an upstream proxy that refuses every connection: what these tests
// start calls nobody. The value isn't one of theirs.
const nowhere = "settings.SALLYPORT_EGRESS_PROXY=http://127.0.0.1:1"

// eventually asks again until the answer is yes.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get asks the admin listener as a probe does, by its IP address.
func (k *kubelet) get(path string) (int, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + k.admin + path)
	if err != nil {
		return 0, err
	}
	return r.StatusCode, r.Body.Close()
}

// ready waits for the pod's readiness probe.
func (k *kubelet) ready(t *testing.T, p pod, c *container) {
	t.Helper()
	eventually(t, "ready", func() error {
		select {
		case err := <-c.done:
			t.Fatalf("serve ended: %v", err)
		default:
		}
		code, err := k.get(p.our.ReadinessProbe.HTTPGet.Path)
		if err == nil && code != http.StatusOK {
			return fmt.Errorf("%s answers %d", p.our.ReadinessProbe.HTTPGet.Path, code)
		}
		return err
	})
	if code, err := k.get(p.our.LivenessProbe.HTTPGet.Path); code != http.StatusOK {
		t.Errorf("liveness: %d %v", code, err)
	}
	if code, err := k.get("/v1/orgs"); err != nil || code < 400 {
		t.Errorf("the pod's network reaches the admin API: %d %v", code, err)
	}
}

// connect asks the proxy for a host that no org claims: a caller that is known
// gets 403, others 407.
func (k *kubelet) connect(user *url.Userinfo, roots []byte) (int, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.Dial("tcp", k.proxy)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if roots != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(roots)
		conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: "other.example:443"}, Host: "other.example:443", Header: http.Header{}}
	if user != nil {
		basic := http.Request{Header: http.Header{}}
		password, _ := user.Password()
		basic.SetBasicAuth(user.Username(), password)
		r.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := r.Write(conn); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// calls demands an answer to a caller.
func (k *kubelet) calls(t *testing.T, user *url.Userinfo, roots []byte, want int) {
	t.Helper()
	if got, err := k.connect(user, roots); err != nil || got != want {
		t.Errorf("%v gets %d %v, want %d", user, got, err, want)
	}
}

// stop ends the container as the kubelet does.
func (c *container) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.done:
		if err != nil {
			t.Errorf("after SIGTERM it ends with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it doesn't end")
	}
}

// export is `kubectl exec … sallyport ca export`.
func (k *kubelet) export(t *testing.T, p pod) string {
	t.Helper()
	out, err := k.command(t, p, "ca", "export").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "-----BEGIN CERTIFICATE-----") {
		t.Fatalf("ca export: %v %s", err, out)
	}
	return string(out)
}

// redis starts a Redis that speaks TLS with a password, and returns its URL.
func redis(t *testing.T, by authority) string {
	t.Helper()
	dir := t.TempDir()
	pair := by.pair(t)
	write(t, dir+"/tls.crt", pair.certificate)
	write(t, dir+"/tls.key", pair.key)
	write(t, dir+"/ca.crt", by.certificate)
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address) // it was made by a listener
	cmd := exec.Command("redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--requirepass", "pw",
		"--tls-cert-file", dir+"/tls.crt", "--tls-key-file", dir+"/tls.key", "--tls-ca-cert-file", dir+"/ca.crt", "--tls-auth-clients", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing in it is wanted any more
		_ = cmd.Wait()
	})
	eventually(t, "Redis", func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return "rediss://:pw@" + address + "/0"
}
