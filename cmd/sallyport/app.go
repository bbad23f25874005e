package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/virtual"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/redisstore"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// app is a serving process: what it is made of, in the order in which it is
// taken down.
type app struct {
	c     config.Config
	state stateDir
	log   *slog.Logger

	store   store
	shared  *redisstore.Store // the store where replicas share it, nil for the embedded one
	keys    *secret.Keyring
	journal *journal.Journal
	deployment
	tel     *telemetry.Telemetry
	access  *telemetry.BatchWriter
	reg     *registry.Registry
	out     *egress.Egress
	dir     *directory
	broker  *tokens.Broker
	ca      *authority
	proxy   *proxy.Server
	desk    *egressDesk
	admin   *admin.Server
	cert    *certificate // of https:// listeners, nil without
	callers *clientCerts // of https:// listeners, nil unless they ask
	adminTC *certificate

	serving        atomic.Bool
	placeholderKey []byte                // of what clients get in the place of access tokens
	away           atomic.Pointer[error] // why the shared store can't be used, nil while it can
	closers        []func() error        // run backwards
}

// newApp assembles a process from c. When it fails, what was opened is closed.
func newApp(ctx context.Context, c config.Config, stderr io.Writer, env func(string) string) (_ *app, err error) {
	a := &app{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	a.log = newLogger(c, stderr)
	for _, step := range []func(context.Context) error{
		a.openState,
		func(ctx context.Context) error { return a.startTelemetry(ctx, stderr, env) },
		a.openWays,
		a.startBroker,
		func(ctx context.Context) error { return a.startProxy(ctx, logsJSON(c, stderr)) },
		a.startAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func newLogger(c config.Config, w io.Writer) *slog.Logger {
	return slog.New(telemetry.NewLogHandler(w, logsJSON(c, w), logLevel(c)))
}

func logsJSON(c config.Config, w io.Writer) bool {
	if c.LogFormat != "" {
		return c.LogFormat == "json"
	}
	f, ok := w.(*os.File)
	return !ok || !term.IsTerminal(int(f.Fd()))
}

func logLevel(c config.Config) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo // config checked it
	}
	return l
}

func (a *app) closing(f func() error) { a.closers = append(a.closers, f) }

func (a *app) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// openState opens the state directory, the keyset, the journal and the store.
func (a *app) openState(ctx context.Context) (err error) {
	if a.state, err = openStateDir(a.c.StateDir); err != nil {
		return err
	}
	if a.c.AdminTLSCert != "" {
		if a.adminTC, err = loadCertificate(a.c.AdminTLSCert, a.c.AdminTLSKey, "SALLYPORT_ADMIN_TLS_CERT"); err != nil {
			return err
		}
	}
	isNew := false
	if a.c.Store.IsZero() {
		embedded, err := openEmbedded(a.state)
		if err != nil {
			return err
		}
		a.store = embedded
		a.closing(a.store.Close)
		canary, err := a.store.Meta(ctx, metaCanary)
		if err != nil {
			return err
		}
		isNew = canary == nil
	}
	raw, err := readKeyset(a.c.Keyset, a.state, isNew)
	if err != nil {
		return err
	}
	if a.keys, err = secret.ParseKeyring(raw); err != nil {
		return misconfigured("SALLYPORT_KEYSET: %w", err)
	}
	a.journal, err = journal.Open(journal.Options{Dir: a.state.path("journal"), Sealer: a.keys, Logger: a.log})
	if errors.Is(err, journal.ErrLocked) {
		return misconfigured("another sallyport uses the journal in %s: stop it, or set SALLYPORT_STATE_DIR to a directory of its own", a.state)
	} else if err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	a.closing(a.journal.Close)
	if a.store == nil {
		if a.shared, err = a.openShared(ctx); err != nil {
			return err
		}
		a.store = a.shared
		a.closing(a.store.Close)
	}
	if a.deployment, err = settleDeployment(ctx, a.state, a.store, a.keys, a.shared != nil); err != nil {
		return err
	}
	return checkCanary(ctx, a.store, a.keys)
}

func (a *app) startTelemetry(ctx context.Context, stderr io.Writer, env func(string) string) (err error) {
	a.tel, err = telemetry.Start(ctx, telemetry.Options{Version: version, Replica: a.journal.Replica(), Env: env, Logger: a.log})
	if err != nil {
		return &configError{err}
	}
	a.closing(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := a.tel.Shutdown(ctx); err != nil {
			a.log.Warn("the last telemetry wasn't exported", "error", err)
		}
		return nil
	})
	a.access = telemetry.NewBatchWriter(stderr, 100*time.Millisecond)
	a.closing(a.access.Close)
	return nil
}

// openWays makes the one way out, and the registry's view of who may use it.
func (a *app) openWays(ctx context.Context) (err error) {
	o := egress.Options{SourceAddresses: a.c.EgressSourceIPs, TunnelAddresses: a.c.PassthroughSourceIPs, Allow: a.c.AllowAddresses,
		UpstreamTimeout: a.c.UpstreamTimeout.D()}
	if a.c.UpstreamCAFile != "" {
		pem, err := os.ReadFile(a.c.UpstreamCAFile)
		if err != nil {
			return misconfigured("SALLYPORT_UPSTREAM_CA_FILE: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(pem) {
			return misconfigured("SALLYPORT_UPSTREAM_CA_FILE: %s holds no PEM certificate", a.c.UpstreamCAFile)
		}
	}
	if len(a.c.Resolve) > 0 {
		o.Resolve = map[string]string{}
		for _, m := range a.c.Resolve {
			o.Resolve[hostPort(m.Host, m.Port)] = m.To.String()
		}
	}
	if !a.c.EgressProxy.IsZero() {
		o.Proxy = a.c.EgressProxy.URL()
	}
	for _, r := range a.c.EgressAllowed {
		o.Registered = append(o.Registered, egress.Range{From: r.From, To: r.To})
	}
	o.Echo = a.c.EgressEchoURL
	if a.out, err = egress.New(o); err != nil {
		return &configError{err}
	}
	a.out.Attest(ctx)
	a.closing(func() error { a.out.Close(); return nil })
	a.dir = newDirectory(a.out, a.log, a.tel.Tracer, a.c.EgressEnforce == "all")
	a.reg, err = registry.New(ctx, registry.Options{Store: a.store, Sealer: a.keys, LiveGrants: a.hasLiveGrant})
	if err != nil {
		return fmt.Errorf("the registry: %w", err)
	}
	a.dir.rebuild(a.reg.Snapshot())
	return nil
}

func (a *app) hasLiveGrant(key string) bool {
	if a.broker == nil {
		return false
	}
	st, ok := a.broker.Status(tokens.OrgID(key))
	return ok && (st.Live || st.State != tokens.ReauthRequired)
}

func (a *app) startBroker(ctx context.Context) error {
	fpKey, err := a.keys.Open(a.deployment.Fingerprint, "", metaFingerprint)
	if err != nil {
		return fmt.Errorf("the fingerprint key: %w", err)
	}
	fp, err := secret.NewFingerprinter(fpKey)
	if err != nil {
		return err
	}
	// The same in every replica, like the key that it comes from.
	if a.placeholderKey, err = hkdf.Key(sha256.New, fpKey, nil, "sallyport placeholders", virtual.KeySize); err != nil {
		return err
	}
	x, err := salesforce.New(salesforce.Options{Dialer: salesforce.Via(a.out), Apps: a.dir, ExchangeTimeout: a.c.ExchangeTimeout.D()})
	if err != nil {
		return err
	}
	if err := observeEgress(a.tel.Meter, a.out); err != nil {
		return err
	}
	o := tokens.Options{
		Store: a.store, Claims: a.store, Journal: a.journal, Exchanger: x, Sealer: a.keys, Fingerprint: fp, Directory: a.dir, History: a.store,
		Replica: a.journal.Replica(), Deployment: string(a.deployment.ID), Policy: policyOf(a.c),
		Instance: func(org tokens.OrgID, url string) {
			if err := a.reg.SetInstanceHost(string(org), hostOf(url)); err != nil {
				a.log.Warn("the instance URL of an org isn't taken as one of its hosts", "org", org, "error", err)
			}
		},
		Gate:   a.dir.mayExchange,
		Tracer: a.tel.Tracer, Meter: a.tel.Meter, Logger: a.log,
	}
	if a.shared != nil {
		o.Watcher, o.Asker = a.shared, a.shared
		if a.journal.Ephemeral() {
			o.Spool = a.shared
		}
	}
	if a.broker, err = tokens.NewBroker(o); err != nil {
		return err
	}
	unsubscribe := a.reg.Subscribe(func() {
		a.dir.rebuild(a.reg.Snapshot())
		a.broker.Reconfigure()
		a.warnUnasked()
	})
	a.closing(func() error { unsubscribe(); return nil })
	return a.broker.Recover(ctx)
}

func policyOf(c config.Config) tokens.Policy {
	return tokens.Policy{
		ExchangeTimeout: c.ExchangeTimeout.D(), TakeoverAfter: c.TakeoverAfter.D(), DoubtPause: c.InDoubtPause.D(), SettlingTime: c.SettlingTime.D(),
		MaxExchanges: c.MaxExchanges, RefreshAhead: c.RefreshAhead, HeartbeatAfter: c.HeartbeatAfter.D(), TokenWait: c.TokenWait.D(),
		Doubt: map[string]tokens.DoubtPolicy{"late": tokens.AskLate, "ask": tokens.AskSoon, "hold": tokens.AskHold, "send": tokens.AskSend}[c.InDoubt],
	}
}

func (a *app) startProxy(ctx context.Context, json bool) error {
	brought, err := bringAuthority(a.c)
	if err != nil {
		return err
	}
	a.ca = &authority{state: a.state, store: a.store, keys: a.keys, domains: caDomains(a.c), brought: brought}
	current, _, err := a.ca.load(ctx)
	if err != nil {
		return err
	}
	accessLog := slog.New(telemetry.NewLogHandler(a.access, json, logLevel(a.c)))
	a.proxy, err = proxy.New(proxy.Options{
		Registry: a.reg, Tokens: a.broker, Upstream: ways{a.dir, a.out}, Authority: current,
		LocalCallers: access.LocalCallers(a.c.LocalCallers),
		Passthrough:  access.Passthrough{Patterns: a.c.PassthroughHosts, Never: ownAddresses(a.c)}, PlaceholderKey: a.placeholderKey,

		MaxConnections: a.c.MaxConnections, MaxReplayBody: int64(a.c.MaxReplayBody), MaxReplayMemory: int64(a.c.MaxReplayMemory),
		Tracer: a.tel.Tracer, Meter: a.tel.Meter, AccessLog: accessLog, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.ca.use = a.proxy.ActivateAuthority
	if a.c.TLSCert != "" {
		if a.cert, err = loadCertificate(a.c.TLSCert, a.c.TLSKey, "SALLYPORT_TLS_CERT"); err != nil {
			return err
		}
	}
	if a.c.TLSClientCA != "" {
		a.callers, err = loadClientCerts(a.c.TLSClientCA, a.c.TLSClientCRL, a.log)
	}
	return err
}

func ownAddresses(c config.Config) []string {
	own := []string{string(c.AdminListen)}
	for _, l := range c.Listen {
		if l.Kind != config.KindUnix {
			own = append(own, l.Address)
		}
	}
	return own
}

// ways is the one way out as the proxy asks for it.
type ways struct {
	*directory
	out *egress.Egress
}

// DialTunnel implements [proxy.Upstream].
func (w ways) DialTunnel(ctx context.Context, _, hostport string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	return w.out.DialTunnel(ctx, w.out.TunnelSource(host), hostport)
}
