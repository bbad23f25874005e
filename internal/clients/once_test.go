package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// once runs one round of a program and returns all that it says on stdout and
// stderr: what its user sees. One that doesn't end is killed, and an error.
func once(t *testing.T, p program, s *site, home string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	argv := p.command(s)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(s.environ(p, home), "ONCE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // a script and what it started
	cmd.WaitDelay = 5 * time.Second
	said, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", p.name, err)
	}
	if ctx.Err() != nil {
		t.Errorf("it doesn't end within %v; it said %q", patience, said)
	}
	return strings.ReplaceAll(string(said), s.secret, "SECRET")
}

// of is s for another client of the proxy, with the same secret.
func (s *site) of(user string) *site {
	other := *s
	other.user = user
	return &other
}

// resources is the file that serve applies.
func resources(l *lab.Lab) string { return filepath.Join(filepath.Dir(l.StateDir()), "resources.yaml") }

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, errors.Join(err, f.Close()))
}

// accessLog is what serve's access log tells.
type accessLog struct {
	mu    sync.Mutex // guards all below
	rest  []byte     // a line's beginning
	lines []accessLine
}

type accessLine struct {
	Msg      string `json:"msg"`
	Client   string `json:"client"`
	Host     string `json:"host"`
	Status   int    `json:"status"`
	Decision string `json:"decision"`
}

// Write implements io.Writer.
func (l *accessLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		var v accessLine
		if json.Unmarshal(line, &v) == nil && (v.Msg == "request" || v.Msg == "connect") {
			l.lines = append(l.lines, v)
		}
		l.rest = rest
	}
}

// of counts a client's requests, and those of them that got code.
func (l *accessLog) of(client, code string) (coded, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.lines {
		if v.Client != client {
			continue
		}
		all++
		if v.Decision == code {
			coded++
		}
	}
	return coded, all
}

// connects counts the CONNECTs and requests by base URL that were refused with
// code.
func (l *accessLog) connects(code string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.lines {
		if v.Msg == "connect" && v.Decision == code {
			n++
		}
	}
	return n
}

// soon waits until ok, or for ten seconds: serve writes its log when the client
// has its answer.
func soon(t *testing.T, ok func() bool) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(10 * time.Second); !ok() && time.Now().Before(late); {
		<-again.C
	}
}
