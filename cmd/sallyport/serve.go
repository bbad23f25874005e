package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/tokens"
)

// adminSocket is the admin socket's name in the state directory.
const adminSocket = "admin.sock"

// serve runs the proxy and the admin listener until SIGTERM or SIGINT.
func serve(environ []string, stderr io.Writer) error {
	c, err := config.Load(environ)
	if err != nil {
		return &configError{err}
	}
	if err := harden(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// What lives for long is small beside what each request leaves: collecting
		// half as often costs some memory and saves CPU on every request.
		debug.SetGCPercent(200)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a, err := newApp(ctx, c, stderr, os.Getenv)
	if err != nil {
		return err
	}
	return errors.Join(a.run(ctx), a.close())
}

// harden keeps secrets out of core dumps, and the process's own connections
// from looping through a proxy that its environment names.
func harden() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps can't be switched off: %w", err)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) startAdmin(ctx context.Context) error {
	token, err := a.state.adminToken(a.c.AdminToken)
	if err != nil {
		return err
	}
	if a.desk, err = a.newEgressDesk(); err != nil {
		return err
	}
	a.admin, err = admin.New(admin.Options{
		Registry: a.reg, Grants: a.broker, Enroller: a.broker, Ender: a.broker, History: a.store, CA: a.ca, Egress: a.desk,
		Ready: a.ready, Checks: a.checks, Metrics: a.tel.Metrics,
		Hosts:   a.adminTC.names(),
		ServeV1: a.c.AdminListen.Loopback() || a.adminTC != nil, Token: token, Logger: a.log,
	})
	return err
}

// run opens the listeners, applies the resources file, serves until ctx ends,
// and drains.
func (a *app) run(ctx context.Context) error {
	if err := a.applyFile(ctx); err != nil {
		return err
	}
	if err := a.checkCallers(); err != nil {
		return err
	}
	a.warnUnasked()
	listeners, err := listenAll(a.c, a.cert, a.callers)
	if err != nil {
		return &configError{err}
	}
	failed := make(chan error, len(listeners)+2)
	closeAdmin, err := a.serveAdmin(failed)
	if err != nil {
		for _, l := range listeners {
			_ = l.Close() // nothing was served on it
		}
		return &configError{err}
	}
	for _, l := range listeners {
		go func() { // ends when the proxy drains
			if err := a.proxy.Serve(l.Listener); err != nil {
				failed <- fmt.Errorf("the listener %s: %w", l.Addr(), err)
			}
		}()
		a.log.Info("listening", "proxy", l.Addr().String(), "local", l.local)
	}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	if err := watch(watching, a.log, a.watched(), a.reload); err != nil {
		a.log.Warn("files aren't watched: send SIGHUP after a change", "error", err)
	}
	var looking sync.WaitGroup
	looking.Go(func() { a.out.KeepAttesting(watching, a.desk.attested) }) // ends with watching
	looking.Go(func() { a.desk.watchLogins(watching) })                   // ends with watching
	if a.shared != nil {
		looking.Go(func() { a.guard(watching) })  // ends with watching
		looking.Go(func() { a.listen(watching) }) // ends with watching
	}
	a.serving.Store(true)
	notify(a, daemon.SdNotifyReady)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.serving.Store(false)
	unwatch()
	looking.Wait()
	notify(a, daemon.SdNotifyStopping)
	a.log.Info("draining", "timeout", a.c.DrainTimeout.D())
	return errors.Join(err, a.drain(), closeAdmin())
}

func notify(a *app, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.log.Warn("systemd wasn't notified", "state", state, "error", err)
	}
}

// drain lets requests and tunnels end, and exchanges beyond them.
func (a *app) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.c.DrainTimeout.D())
	defer cancel()
	if err := a.proxy.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("tunnels were cut", "error", err)
	}
	more, cancelMore := context.WithTimeout(context.Background(), a.c.ExchangeTimeout.D()+10*time.Second)
	defer cancelMore()
	return a.broker.Drain(more)
}

// checkCallers refuses a listener that anyone could reach and nobody could use.
func (a *app) checkCallers() error {
	if len(a.reg.Snapshot().Clients()) > 0 {
		return nil
	}
	for _, l := range a.c.Listen {
		if !l.Loopback() {
			return misconfigured("SALLYPORT_LISTEN: %s is not loopback, and there are no clients: name clients in SALLYPORT_APPLY, or run sallyport apply on a loopback listener first", l)
		}
	}
	return nil
}

func (a *app) listenAdmin() (net.Listener, error) {
	l, err := net.Listen("tcp", string(a.c.AdminListen))
	if err != nil {
		return nil, fmt.Errorf("SALLYPORT_ADMIN_LISTEN: %w", err)
	}
	if a.adminTC != nil {
		l = tls.NewListener(l, a.adminTC.server())
	}
	return l, nil
}

func (a *app) serveAdmin(failed chan<- error) (func() error, error) {
	sock, err := listenUnix(a.state.path(adminSocket))
	if err != nil {
		return nil, fmt.Errorf("the admin socket: %w", err)
	}
	public, err := a.listenAdmin()
	if err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	a.log.Info("listening", "admin", public.Addr().String(), "socket", sock.Addr().String())
	servers := []*http.Server{admin.NewHTTPServer(a.admin.Local(), a.log), admin.NewHTTPServer(a.admin.Public(), a.log)}
	for i, l := range []net.Listener{sock, public} {
		go func() { // ends when the server is closed
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("the admin listener: %w", err)
			}
		}()
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var errs []error
		for _, s := range servers {
			if err := s.Shutdown(ctx); err != nil {
				errs = append(errs, s.Close())
			}
		}
		return errors.Join(errs...)
	}, nil
}

// applyFile applies SALLYPORT_APPLY. At the start a fault in it ends the
// process with nothing changed.
func (a *app) applyFile(ctx context.Context) error {
	if a.c.Apply == "" {
		return nil
	}
	f, err := os.Open(a.c.Apply)
	if err != nil {
		return misconfigured("SALLYPORT_APPLY: %w", err)
	}
	defer f.Close()
	change, err := config.ParseResources(f, a.c.Apply, config.ResourceOptions{
		LookupEnv: os.LookupEnv, ReadFile: os.ReadFile, ReferenceDirs: append(slices.Clone(a.c.ReferenceDirs), filepath.Dir(a.c.Apply)),
	})
	if err != nil {
		return &configError{err}
	}
	done, err := a.admin.Apply(ctx, change)
	if err != nil {
		return &configError{err}
	}
	for _, g := range done.Grants {
		if g.Error != "" {
			a.log.Error("a grant of the resources file couldn't be begun", "org", g.Org, "error", g.Error)
		}
	}
	a.log.Info("applied", "file", a.c.Apply, "changes", len(done.Items))
	return nil
}

// watched are the files that are read again when they change.
func (a *app) watched() []string {
	var files []string
	named := []string{a.c.Apply, a.c.TLSCert, a.c.TLSKey, a.c.TLSClientCA, a.c.AdminTLSCert, a.c.AdminTLSKey, a.c.Keyset.Path}
	for _, f := range append(named, a.c.TLSClientCRL...) {
		if f != "" {
			files = append(files, f)
		}
	}
	if a.c.Keyset.IsZero() {
		files = append(files, a.state.path("keyset.json"))
	}
	return files
}

// reload reads every file again. What can't be read stays as it was.
func (a *app) reload(ctx context.Context) {
	report := func(what string, err error) {
		if err != nil {
			a.log.Error("a file couldn't be read again: what was in force stays so", "what", what, "error", err)
		}
	}
	if raw, err := readKeyset(a.c.Keyset, a.state, false); err != nil {
		report("keyset", err)
	} else {
		report("keyset", a.keys.Swap(raw))
	}
	for _, c := range []*certificate{a.cert, a.adminTC} {
		if c != nil {
			report("certificate", c.reload())
		}
	}
	if a.callers != nil {
		report("client certificates", a.callers.reload())
	}
	report("resources", a.applyFile(ctx))
}

// ready tells whether this process can serve somebody, and what is amiss.
func (a *app) ready(context.Context) admin.Readiness {
	if !a.serving.Load() {
		return admin.Readiness{Status: admin.StatusUnready, Reasons: []string{"starting or draining"}}
	}
	r := admin.Readiness{Status: admin.StatusOK, Reasons: []string{}, Egress: a.desk.Ways().Sources}
	degraded := func(format string, args ...any) {
		r.Status, r.Reasons = admin.StatusDegraded, append(r.Reasons, fmt.Sprintf(format, args...))
	}
	if err := a.away.Load(); err != nil {
		degraded("the store can't be used, nothing is exchanged: %v", *err)
	}
	for _, at := range a.out.Attestations() {
		if err := a.out.Registered(at.Source); err != nil {
			degraded("%s", err)
		}
	}
	if a.journal.Degraded() {
		degraded("%s", tokens.ErrDegraded.Error())
	}
	for _, what := range a.callers.amiss(time.Now()) {
		degraded("certificates of clients are refused: %s", what)
	}
	for _, o := range a.reg.Snapshot().Orgs() {
		st, ok := a.broker.Status(tokens.OrgID(o.Key))
		switch {
		case o.Disabled:
		case !ok:
			degraded("org %s has no authorisation yet: run sallyport grant authorize %s", o.Name, o.Name)
		case st.State != tokens.Ready && st.State != tokens.Exchanging:
			degraded("org %s is %s (%s)", o.Name, st.State, st.Reason)
		case st.Failing != "":
			degraded("org %s can't be exchanged: %s", o.Name, st.Failing)
		}
	}
	return r
}

type serveCmd struct{}

// Run implements kong's command.
func (serveCmd) Run(s *streams) error { return serve(s.environ, s.err) }
