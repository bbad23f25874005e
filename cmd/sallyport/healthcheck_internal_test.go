package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHealthcheckAsksWhatServeListensOn(t *testing.T) {
	status := http.StatusOK
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s with %q", r.URL, r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
	})
	plain := httptest.NewServer(h)
	defer plain.Close()
	secured := httptest.NewTLSServer(h)
	defer secured.Close()
	_, port, _ := strings.Cut(plain.Listener.Addr().String(), ":")
	cert := filepath.Join(t.TempDir(), "tls.crt")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secured.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		env    []string
		status int
		code   int
	}{
		{"the listener itself", []string{"SALLYPORT_ADMIN_LISTEN=127.0.0.1:" + port}, 200, 0},
		{"a listener on all addresses", []string{"SALLYPORT_ADMIN_LISTEN=0.0.0.0:" + port}, 200, 0},
		{"a listener without a host", []string{"SALLYPORT_ADMIN_LISTEN=:" + port, "SALLYPORT_ADMIN_TOKEN=TOPSECRET"}, 200, 0},
		{"a TLS listener, by its own certificate", []string{"SALLYPORT_ADMIN_LISTEN=" + secured.Listener.Addr().String(), "SALLYPORT_ADMIN_TLS_CERT=" + cert}, 200, 0},
		{"an unhealthy server", []string{"SALLYPORT_ADMIN_LISTEN=127.0.0.1:" + port}, 503, 1},
		{"nobody", []string{"SALLYPORT_ADMIN_LISTEN=127.0.0.1:1"}, 200, 1},
		{"a malformed address", []string{"SALLYPORT_ADMIN_LISTEN=here"}, 200, 1},
		{"a certificate that isn't there", []string{"SALLYPORT_ADMIN_LISTEN=127.0.0.1:" + port, "SALLYPORT_ADMIN_TLS_CERT=" + cert + ".gone"}, 200, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			status = c.status
			var stdout, stderr bytes.Buffer
			if code := run([]string{"healthcheck"}, strings.NewReader(""), &stdout, &stderr, c.env); code != c.code || (code != 0) != (stderr.Len() > 0) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, &stderr)
			}
		})
	}
}

func TestAClockThatIsOffIsWrong(t *testing.T) {
	for _, c := range []struct {
		skew time.Duration
		bad  bool
	}{{0, false}, {4 * time.Second, false}, {-6 * time.Second, true}, {time.Hour, true}} {
		if f := clockFinding(c.skew); f.Bad() != c.bad || f.Bad() && f.Hint == "" {
			t.Errorf("%v: %+v", c.skew, f)
		}
	}
}

func TestAnEndingCAIsTold(t *testing.T) {
	f := newFake()
	stop, err := f.listen(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ca := f.current.Root()
	for _, c := range []struct {
		name   string
		now    time.Time
		result string
	}{
		{"before its time", ca.NotBefore.Add(-time.Minute), "wrong"},
		{"in its time", ca.NotBefore.AddDate(1, 0, 0), "ok"},
		{"a month before its end", ca.NotAfter.AddDate(0, -1, 0), "warning"},
		{"after its end", ca.NotAfter.Add(time.Minute), "wrong"},
	} {
		if got := judgeCA("ca.pem", ca, c.now); got.Result != c.result || got.Result != "ok" && got.Hint == "" {
			t.Errorf("%s: %+v, want %s", c.name, got, c.result)
		}
	}
}

func TestTablesCannotSteerATerminal(t *testing.T) {
	var b bytes.Buffer
	if err := table(&b, [][]string{{"a\x1b[2J\nb", "c\u009b"}}); err != nil || b.String() != "a [2J b  c \n" {
		t.Errorf("%q, %v", &b, err)
	}
}
