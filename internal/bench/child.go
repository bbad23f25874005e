package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable makes a copy of this program play one part of the set-up.
const roleVariable = "BENCH_ROLE"

// A role reads its configuration, then its orders, as JSON from in, answers as
// JSON on out, and ends when in does.
type role func(in *json.Decoder, out *json.Encoder) error

func play(name string, in io.Reader, out io.Writer) error {
	roles := map[string]role{
		"upstream": playUpstream, "client": playClient, "goproxy": playGoproxy, "collector": playCollector,
	}
	r, ok := roles[name]
	if !ok {
		return fmt.Errorf("no role %q", name)
	}
	return r(json.NewDecoder(in), json.NewEncoder(out))
}

// eachOrder answers every order, whatever it says, until they end.
func eachOrder(in *json.Decoder, answer func() error) error {
	for in.More() {
		var order any
		if err := errors.Join(in.Decode(&order), answer()); err != nil {
			return err
		}
	}
	return nil
}

// ready is what a role that listens answers to its configuration.
type ready struct{ Addr string }

// cores says where things run: the proxy under test on one core, all else on
// another.
type cores struct {
	proxy, load int
	all         unix.CPUSet
}

// pickCores takes the first two cores that this process may use.
func pickCores() (cores, error) {
	var c cores
	if err := unix.SchedGetaffinity(0, &c.all); err != nil {
		return c, fmt.Errorf("reading the cores that may be used: %w", err)
	}
	var free []int
	for i := range 1024 {
		if c.all.IsSet(i) {
			free = append(free, i)
		}
	}
	if len(free) < 2 {
		return c, fmt.Errorf("two cores are needed, one for the proxy and one for the load: this process has %d", len(free))
	}
	c.load, c.proxy = free[0], free[1]
	return c, nil
}

func only(core int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(core)
	return &set
}

// pin moves every thread of a process to the cores of set.
func pin(pid int, set *unix.CPUSet) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pinning thread %d: %w", tid, err)
		}
	}
	return nil
}

// startOn starts cmd on one core. A process inherits the cores of the thread
// that starts it, so no part of it ever runs elsewhere, and Go's scheduler in
// it sees one core.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, only(core)); err != nil {
		return fmt.Errorf("pinning to core %d: %w", core, err)
	}
	err := cmd.Start()
	if e := unix.SchedSetaffinity(0, &before); err == nil {
		err = e
	}
	return err
}

// A child is a copy of this program that plays a role.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	enc  *json.Encoder
	dec  *json.Decoder
	said *tail
}

// startRole starts a copy of this program and gives it its configuration.
func startRole(ctx context.Context, core int, name string, config any) (*child, error) {
	c, err := startIdle(ctx, core, name)
	if err != nil {
		return nil, err
	}
	if err := c.tell(config); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// startIdle starts a copy of this program.
func startIdle(ctx context.Context, core int, name string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{name: name, cmd: exec.CommandContext(ctx, self), said: &tail{}}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+name)
	c.cmd.Stderr = c.said
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.enc, c.dec = json.NewEncoder(c.in), json.NewDecoder(out)
	if err := startOn(core, c.cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return c, nil
}

func (c *child) tell(order any) error {
	if err := c.enc.Encode(order); err != nil {
		return fmt.Errorf("telling %s: %w; it said: %s", c.name, err, c.said)
	}
	return nil
}

func (c *child) hear(answer any) error {
	if err := c.dec.Decode(answer); err != nil {
		return fmt.Errorf("hearing from %s: %w; it said: %s", c.name, err, c.said)
	}
	return nil
}

// stop ends the child by ending its orders.
func (c *child) stop() {
	c.in.Close()
	end(c.cmd, nil)
}

// end waits for a process, after signalling it if sig is given, and kills it
// when it is not gone in ten seconds.
func end(cmd *exec.Cmd, sig os.Signal) {
	if sig != nil {
		_ = cmd.Process.Signal(sig)
	}
	late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer late.Stop()
	_ = cmd.Wait()
}

// tail counts the lines written to it and keeps the last of them.
type tail struct {
	mu    sync.Mutex // guards the rest
	lines int64
	last  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines += int64(bytes.Count(p, []byte{'\n'}))
	const keep = 4096
	t.last = append(t.last, p[max(0, len(p)-keep):]...)
	t.last = t.last[max(0, len(t.last)-keep):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

func (t *tail) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines
}
