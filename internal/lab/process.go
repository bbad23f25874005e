package lab

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a running serve.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended and err is set
	err  error
	said *tail
}

// Start starts serve and returns when it is ready, or says why it isn't. The
// proxy's CA is then in Roots and in CAFile.
func (l *Lab) Start(ctx context.Context) error {
	p := &process{done: make(chan struct{}), said: &tail{next: l.o.Stderr}}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), l.o.Binary, "serve") // it outlives its start
	p.cmd.Env = l.Env
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	l.process = p
	if err := l.awaitReady(ctx, p); err != nil {
		return errors.Join(err, l.Kill())
	}
	return l.fetchCA(ctx)
}

func (l *Lab) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if status, _, err := get(ctx, c, "http://"+l.Admin+"/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("sallyport serve ended: %w; it said: %s", p.err, p.said)
		case <-ctx.Done():
			return fmt.Errorf("sallyport serve isn't ready after 30 seconds; it said: %s", p.said)
		}
	}
}

func (l *Lab) fetchCA(ctx context.Context) error {
	status, body, err := l.AdminCall(ctx, http.MethodGet, "/v1/ca", nil)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("the proxy's CA: status %d: %w", status, err)
	}
	l.CAPEM, l.Roots = body, x509.NewCertPool()
	if !l.Roots.AppendCertsFromPEM(body) {
		return errors.New("the proxy's CA is no PEM")
	}
	return os.WriteFile(l.CAFile(), body, 0o600)
}

// Pid is the process id of serve.
func (l *Lab) Pid() int { return l.process.cmd.Process.Pid }

// Kill ends serve with kill -9 and waits for it.
func (l *Lab) Kill() error {
	err := l.process.cmd.Process.Signal(syscall.SIGKILL)
	<-l.process.done
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return err
}

// Tell has w get what serve says from its next start on.
func (l *Lab) Tell(w io.Writer) { l.o.Stderr = w }

// Freeze suspends serve (SIGSTOP), as a paused machine does. Its connections stay
// open.
func (l *Lab) Freeze() error { return l.process.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a suspended serve go on (SIGCONT).
func (l *Lab) Thaw() error { return l.process.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends serve with SIGTERM and waits for it; with ctx it is killed.
func (l *Lab) Stop(ctx context.Context) error {
	if err := l.process.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-l.process.done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), l.Kill())
	}
	var exit *exec.ExitError
	if errors.As(l.process.err, &exit) && !exit.Exited() {
		return nil // killed before
	}
	return l.process.err
}

// Said is the last of what serve said.
func (l *Lab) Said() string { return l.process.said.String() }

// AdminCall sends one request to the admin socket and returns its answer.
func (l *Lab) AdminCall(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.path("state/admin.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return do(c, req)
}

func get(ctx context.Context, c *http.Client, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return do(c, req)
}

func do(c *http.Client, req *http.Request) (int, []byte, error) {
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, b, err
}

// tail keeps the last of what a process says.
type tail struct {
	mu   sync.Mutex
	b    []byte    // guarded by mu
	next io.Writer // or nil
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b); n > 64<<10 {
		t.b = bytes.Clone(t.b[n-32<<10:])
	}
	if t.next != nil {
		return t.next.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
