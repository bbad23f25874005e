package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// round is what a program said of one round.
type round struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
	at    time.Time
}

// running is a program that runs.
type running struct {
	program
	site *site

	mu     sync.Mutex // guards all below
	rounds []round
	stderr bytes.Buffer
	err    error // how it ended
}

// start runs a program until the site's stop file is there, or ctx ends. done is
// called at its end.
func start(ctx context.Context, t *testing.T, p program, s *site, done func()) *running {
	t.Helper()
	r := &running{program: p, site: s}
	argv := p.command(s)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.dir, s.environ(p, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // a script and what it started
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = locked{r}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	go func() { // ends with the program
		defer done()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			r.said(lines.Bytes())
		}
		err := cmd.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
	}()
	return r
}

func (r *running) said(line []byte) {
	v := round{at: time.Now()}
	if err := json.Unmarshal(line, &v); err != nil {
		v = round{Error: fmt.Sprintf("it said %q", line), at: v.at}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds = append(r.rounds, v)
}

// view returns the rounds so far.
func (r *running) view() []round {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]round(nil), r.rounds...)
}

// locked takes what a program says on stderr, the first 16 KiB.
type locked struct{ r *running }

func (l locked) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if room := 16<<10 - l.r.stderr.Len(); room > 0 {
		l.r.stderr.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
