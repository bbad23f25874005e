package netlab_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The world is the namespace of the test itself: Salesforce, the echo, Redis and
// the callers are in it, and two networks. On the one that stands for the
// Internet its addresses are salesforce4 and salesforce6; by the other the
// callers and Redis are reached.
const (
	salesforce4 = "198.51.100.200"
	salesforce6 = "2001:db8::200"
	inside      = "10.77.0.1"
)

var binary string

// TestMain begins anew in a network namespace of its own, so that nothing of
// what the tests set up is left on the machine.
func TestMain(m *testing.M) {
	if addr := os.Getenv("NETLAB_RELAY"); addr != "" {
		os.Exit(relay(addr))
	}
	if os.Getenv("NETLAB_WORLD") == "" {
		os.Exit(inWorld())
	}
	os.Exit(run(m))
}

func inWorld() int {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), "NETLAB_WORLD=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 { // then root in a namespace of users
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "netlab: in a network namespace of its own:", err)
		return 1
	}
	return 0
}

func run(m *testing.M) int {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "internet", "type", "bridge"}, {"link", "set", "internet", "up"},
		{"addr", "add", salesforce4 + "/24", "dev", "internet"}, {"addr", "add", salesforce6 + "/64", "dev", "internet", "nodad"},
		{"link", "add", "inside", "type", "bridge"}, {"link", "set", "inside", "up"}, {"addr", "add", inside + "/24", "dev", "inside"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "netlab: ip %s: %v\n%s", strings.Join(args, " "), err, out)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "sallyport-netlab-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/sallyport/sallyport/cmd/sallyport").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "netlab: building sallyport: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// machine is a network namespace with a way to the Internet and one to the
// callers.
type machine struct {
	t    *testing.T
	pid  string // of the process that keeps the namespace
	addr string // inside
}

var machines int

// newMachine makes a machine whose addresses on the Internet are outside, in
// order: the kernel chooses the first where nobody binds.
func newMachine(t *testing.T, outside ...string) *machine {
	t.Helper()
	machines++
	m := bare(t)
	m.addr = fmt.Sprintf("10.77.0.%d", 10+machines)
	m.cable("in", "inside", m.addr+"/24")
	if len(outside) > 0 {
		m.cable("out", "internet", outside...)
	}
	return m
}

// bare makes a machine without a cable. It ends with the test.
func bare(t *testing.T) *machine {
	t.Helper()
	keeper := exec.Command("sleep", "600")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = keeper.Process.Kill()
		_ = keeper.Wait() // it was killed
	})
	m := &machine{t: t, pid: strconv.Itoa(keeper.Process.Pid)}
	m.do("ip", "link", "set", "lo", "up")
	return m
}

// cable joins the machine to a bridge of the world.
func (m *machine) cable(name, bridge string, addrs ...string) {
	m.t.Helper()
	far := name + m.pid
	world(m.t, "ip", "link", "add", far, "type", "veth", "peer", "name", name, "netns", m.pid)
	world(m.t, "ip", "link", "set", far, "master", bridge, "up")
	m.do("ip", "link", "set", name, "up")
	for _, a := range addrs {
		m.give(name, a)
	}
}

// give gives the machine one more address.
func (m *machine) give(dev, addr string) {
	m.t.Helper()
	args := []string{"addr", "add", addr, "dev", dev}
	if strings.Contains(addr, ":") {
		args = append(args, "nodad")
	}
	m.do("ip", args...)
}

// command is one that runs on the machine.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=/proc/" + m.pid + "/ns/net", "--", name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (m *machine) do(name string, args ...string) string {
	m.t.Helper()
	return output(m.t, m.command(name, args...))
}

func world(t *testing.T, name string, args ...string) string {
	t.Helper()
	return output(t, exec.Command(name, args...))
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &said)
	}
	return said.String()
}

// allow counts each packet to the Internet that leaves by another address than
// these; [machine.strays] tells how many did.
func (m *machine) allow(addrs ...string) {
	m.t.Helper()
	v4, v6 := "198.51.100.0", "2001:db8::" // nobody's
	for _, a := range addrs {
		if strings.Contains(a, ":") {
			v6 += ", " + a
		} else {
			v4 += ", " + a
		}
	}
	rules := fmt.Sprintf(`table inet proof
delete table inet proof
table inet proof {
	counter strays { }
	chain out {
		type filter hook postrouting priority 300;
		meta nfproto ipv4 ip daddr 198.51.100.0/24 ip saddr != { %s } counter name strays
		meta nfproto ipv6 ip6 daddr 2001:db8::/64 meta l4proto tcp ip6 saddr != { %s } counter name strays
	}
}
`, v4, v6)
	cmd := m.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	output(m.t, cmd)
}

func (m *machine) strays() string {
	m.t.Helper()
	said := m.do("nft", "list", "counter", "inet", "proof", "strays")
	_, after, ok := strings.Cut(said, "packets ")
	if !ok {
		m.t.Fatalf("nft says %s", said)
	}
	n, _, _ := strings.Cut(after, " ")
	return n
}
