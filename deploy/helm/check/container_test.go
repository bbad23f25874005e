package check_test

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// env is the container's environment.
func (k *kubelet) env(t *testing.T, p pod) []string {
	t.Helper()
	var all []string
	for _, e := range p.our.Env {
		value := k.replace.Replace(e.Value)
		if e.ValueFrom != nil {
			ref := e.ValueFrom.SecretKeyRef
			b, ok := k.secrets[ref.Name][ref.Key]
			if !ok {
				t.Fatalf("%s wants the key %s of %s, which isn't there", e.Name, ref.Key, ref.Name)
			}
			value = string(b)
		}
		all = append(all, e.Name+"="+value)
	}
	return all
}

// container is a running sallyport.
type container struct {
	cmd  *exec.Cmd
	done chan error
	log  *logs
}

// logs is what a process says.
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

// start mounts the volumes and starts the container, which ends with the test.
func (k *kubelet) start(t *testing.T, p pod) *container {
	t.Helper()
	k.mount(t, p)
	c := &container{cmd: k.command(t, p, p.our.Args...), done: make(chan error, 1), log: &logs{}}
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process
		c.done <- c.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Log(c.log)
		}
	})
	return c
}

// command runs the binary inside the container, as kubectl exec does.
func (k *kubelet) command(t *testing.T, p pod, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(k.binary, args...)
	cmd.Env = k.env(t, p)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		id := uint32(k.uid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	return cmd
}
