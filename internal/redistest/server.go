package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrMissing says that there is no redis-server to run.
var ErrMissing = errors.New("redistest: redis-server is not installed: 'make test' installs it (apt-get install redis-server redis-tools redis-sentinel)")

// startWait bounds every wait for a server.
const startWait = 20 * time.Second

// Options of a server. The zero value is a server without a password, without
// TLS and without persistence.
type Options struct {
	// Dir is where the server keeps its files. It is made where there is none.
	// Required by [Run].
	Dir string
	// Password is that of the default user.
	Password string
	// ACL are the lines of the ACL file ("user NAME on >PASSWORD …"). The default
	// user keeps all rights, with Password.
	ACL []string
	// TLS lets the server take TLS connections alone, with a certificate of this
	// CA.
	TLS *CA
	// ClientCerts lets a TLS server take clients with a certificate of the CA alone.
	ClientCerts bool
	// AppendOnly writes each command to the append-only file, with an fsync each.
	AppendOnly bool
	// MaxMemory, "3mb" as an example, with the policy noeviction. Empty: no limit.
	MaxMemory string
	// ReplicaOf is the server that this one replicates.
	ReplicaOf *Server
	// Config are further lines of the configuration file.
	Config []string

	cluster bool
}

// Server is one redis-server process. Its methods may be called by several
// goroutines at once.
type Server struct {
	o       Options
	program string
	port    int
	bus     int // of a Cluster's node
	pair    tls.Certificate

	// mu guards the process.
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process was reaped
}

// Run starts a server and waits until it answers.
func Run(o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("redistest: Options needs Dir")
	}
	return start(&Server{o: o, program: "redis-server"})
}

// start starts s on a free port, another one where somebody took it meanwhile.
func start(s *Server) (_ *Server, err error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	for range 5 {
		if s.port, s.bus, err = freePorts(); err != nil {
			return nil, err
		}
		if err = s.configure(); err != nil {
			return nil, err
		}
		if err = s.Restart(); err == nil || errors.Is(err, ErrMissing) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func freePorts() (a, b int, err error) {
	for _, p := range []*int{&a, &b} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, fmt.Errorf("redistest: %w", err)
		}
		defer l.Close()
		*p = l.Addr().(*net.TCPAddr).Port
	}
	return a, b, nil
}

// configure writes the configuration file.
func (s *Server) configure() error {
	lines := []string{"bind 127.0.0.1", "dir " + s.o.Dir, `save ""`, "daemonize no", "protected-mode no",
		"repl-diskless-sync-delay 0", "repl-ping-replica-period 1"}
	port := strconv.Itoa(s.port)
	if s.o.TLS == nil {
		lines = append(lines, "port "+port)
	} else {
		files, err := s.o.TLS.write(s.o.Dir)
		if err != nil {
			return err
		}
		if s.pair, err = tls.LoadX509KeyPair(files.cert, files.key); err != nil {
			return fmt.Errorf("redistest: %w", err)
		}
		auth := "optional"
		if s.o.ClientCerts {
			auth = "yes"
		}
		lines = append(lines, "port 0", "tls-port "+port, "tls-replication yes", "tls-auth-clients "+auth,
			"tls-ca-cert-file "+files.ca, "tls-cert-file "+files.cert, "tls-key-file "+files.key)
	}
	acl := append([]string{"user default on nopass ~* &* +@all"}, s.o.ACL...)
	if s.o.Password != "" {
		acl[0] = "user default on >" + s.o.Password + " ~* &* +@all"
		lines = append(lines, "masterauth "+s.o.Password)
	}
	aclFile := filepath.Join(s.o.Dir, "users.acl")
	if err := os.WriteFile(aclFile, []byte(strings.Join(acl, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	lines = append(lines, "aclfile "+aclFile)
	if s.o.AppendOnly {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if s.o.MaxMemory != "" {
		lines = append(lines, "maxmemory "+s.o.MaxMemory, "maxmemory-policy noeviction")
	}
	if m := s.o.ReplicaOf; m != nil {
		lines = append(lines, fmt.Sprintf("replicaof 127.0.0.1 %d", m.port))
	}
	if s.o.cluster {
		lines = append(lines, "cluster-enabled yes", "cluster-node-timeout 2000", "cluster-port "+strconv.Itoa(s.bus))
	}
	lines = append(lines, s.o.Config...)
	return s.writeConfig(lines)
}

func (s *Server) writeConfig(lines []string) error {
	if err := os.WriteFile(s.file(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	return nil
}

func (s *Server) file() string { return filepath.Join(s.o.Dir, s.program+".conf") }

// Restart starts the process again on the same port and directory, and kills
// the former one where it still runs. It returns when the server answers.
func (s *Server) Restart() error {
	if err := s.Kill(); err != nil {
		return err
	}
	path, err := exec.LookPath(s.program)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	log, err := os.OpenFile(filepath.Join(s.o.Dir, s.program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(path, s.file())
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.o.Dir
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	done := make(chan struct{})
	go func() { // ends with the process
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	if err := s.ready(done); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// ready waits until the server answers and has loaded what it keeps.
func (s *Server) ready(done <-chan struct{}) error {
	c := s.Client()
	defer func() { _ = c.Close() }() // nothing is left to fail
	return until("server "+s.Addr(), func(ctx context.Context) error {
		select {
		case <-done:
			return fmt.Errorf("%w: it ended at once, and said:\n%s", errGiveUp, s.lastWords())
		default:
		}
		return c.Ping(ctx).Err()
	})
}

// lastWords are the end of the server's log.
func (s *Server) lastWords() string {
	b, err := os.ReadFile(filepath.Join(s.o.Dir, s.program+".log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-1500):])
}

// errGiveUp ends until.
var errGiveUp = errors.New("no use to wait")

// until asks ok again and again until it says nil.
func until(what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGiveUp):
			return fmt.Errorf("redistest: %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("redistest: %s isn't ready after %v: %w", what, startWait, err)
		}
	}
}

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("redistest: %w", err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for its end. Killing one that
// doesn't run is no error.
func (s *Server) Kill() error {
	if err := s.signal(syscall.SIGKILL); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		<-s.done
	}
	s.cmd, s.done = nil, nil
	return nil
}

// Stop suspends the process (SIGSTOP). Its connections stay open.
func (s *Server) Stop() error { return s.signal(syscall.SIGSTOP) }

// Cont lets a suspended process go on.
func (s *Server) Cont() error { return s.signal(syscall.SIGCONT) }

// Addr is host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's for the default user, with its password.
func (s *Server) URL() string { return s.userURL(url.UserPassword("", s.o.Password)) }

// UserURL is the server's for a user of the ACL.
func (s *Server) UserURL(name, password string) string {
	return s.userURL(url.UserPassword(name, password))
}

func (s *Server) userURL(user *url.Userinfo) string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), User: user}
	if s.o.Password == "" && user.Username() == "" {
		u.User = nil
	}
	if s.o.TLS != nil {
		u.Scheme = "rediss"
	}
	return u.String()
}

// Client is a client of the default user, which may do everything. The caller
// closes it.
func (s *Server) Client() *redis.Client {
	o := &redis.Options{Addr: s.Addr(), Password: s.o.Password, Protocol: 2, DialTimeout: time.Second, DialerRetries: 1,
		ReadTimeout: 5 * time.Second, ContextTimeoutEnabled: true, MaxRetries: -1, DisableIdentity: true}
	if s.o.TLS != nil {
		o.TLSConfig = s.o.TLS.ClientConfig(s.pair)
	}
	return redis.NewClient(o)
}

// Do runs one command as the default user.
func (s *Server) Do(ctx context.Context, args ...any) (any, error) {
	c := s.Client()
	defer func() { _ = c.Close() }() // nothing is left to fail
	v, err := c.Do(ctx, args...).Result()
	if err != nil {
		return nil, fmt.Errorf("redistest: %v at %s: %w", args[0], s.Addr(), err)
	}
	return v, nil
}

// FlushAll empties the server.
func (s *Server) FlushAll(ctx context.Context) error {
	_, err := s.Do(ctx, "FLUSHALL")
	return err
}

// Promote makes a replica a master. A master becomes one anew: it has another
// replication id afterwards.
func (s *Server) Promote(ctx context.Context) error {
	if _, err := s.Do(ctx, "REPLICAOF", "127.0.0.1", "1"); err != nil {
		return err
	}
	_, err := s.Do(ctx, "REPLICAOF", "NO", "ONE")
	return err
}

// Dump is what the server holds at this moment.
func (s *Server) Dump(ctx context.Context) ([]byte, error) {
	if _, err := s.Do(ctx, "SAVE"); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(s.o.Dir, "dump.rdb"))
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	return b, nil
}

// Restore kills the server and starts it with what a dump holds, as a person
// does who restores a backup. It doesn't go together with AppendOnly.
func (s *Server) Restore(dump []byte) error {
	if s.o.AppendOnly {
		return errors.New("redistest: a server with an append-only file doesn't read a dump")
	}
	if err := s.Kill(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.o.Dir, "dump.rdb"), dump, 0o600); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	return s.Restart()
}
