package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

type demoCmd struct {
	Keep bool `help:"Stay up afterwards, to try it with curl; Ctrl-C ends it."`
}

// demoSession is how long an access token lives without use in the demo.
const demoSession = 3 * time.Second

// demo is one run of the demo.
type demo struct {
	*lab.Lab
	say    *narrator
	client *http.Client
	calls  atomic.Int64 // answered 200
	failed atomic.Int64
}

// Run implements kong's command.
func (c *demoCmd) Run(s *streams) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	d := &demo{say: newNarrator(s.out)}
	d.say.intro()
	d.Lab, err = lab.New(lab.Options{Binary: binary, Dir: dir, Orgs: []string{"acme", "globex"}, Session: demoSession, Env: []string{
		"SALLYPORT_EXCHANGE_TIMEOUT=1s", "SALLYPORT_TAKEOVER_AFTER=2s", "SALLYPORT_IN_DOUBT=ask", "SALLYPORT_IN_DOUBT_PAUSE=500ms",
		"SALLYPORT_LOG_LEVEL=error", "SALLYPORT_LOG_FORMAT=json",
	}})
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = errors.Join(err, d.Close(ending))
	}()
	harmless := sfsim.DefaultSwitches()
	harmless.IntrospectRotatedIsReuse = false // what SALLYPORT_IN_DOUBT=ask says is known
	d.Sim.SetSwitches(harmless)
	if err := d.Start(ctx); err != nil {
		return err
	}
	d.client = d.NewClient()
	for i, step := range []func(context.Context) error{d.plainCall, d.burst, d.killedToken, d.lostAnswer, d.killedProxy} {
		if err := step(ctx); err != nil {
			d.say.failed(i+1, err)
			return errors.New("the demo claims something that did not happen")
		}
	}
	if err := d.summary(); err != nil {
		return err
	}
	d.tryIt(s.out, c.Keep)
	if c.Keep {
		<-ctx.Done()
	}
	return nil
}

// claim is an error unless it holds.
func claim(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("expected "+format, args...)
}

// call is one call that must be answered 200.
func (d *demo) call(ctx context.Context, org string) (lab.Seen, error) {
	seen, err := d.Call(ctx, d.client, org)
	if err != nil || seen.Status != http.StatusOK {
		d.failed.Add(1)
		return seen, fmt.Errorf("a call to %s: status %d %s: %w", org, seen.Status, seen.Body, err)
	}
	d.calls.Add(1)
	return seen, nil
}

// exchanges is how many exchanges Salesforce has made for acme's grant.
func (d *demo) exchanges() int {
	for _, g := range d.Sim.Ledger().Grants {
		if g.ID == d.Grants["acme"].ID {
			return g.Exchanges
		}
	}
	return -1
}

// sent is how many token requests of org's grant reached Salesforce.
func (d *demo) sent(org string) (n int) {
	for _, r := range d.Sim.Ledger().Tokens {
		if r.Presented.Grant == d.Grants[org].ID {
			n++
		}
	}
	return n
}

func (d *demo) plainCall(ctx context.Context) error {
	d.say.step("A plain call. The client knows its proxy and the proxy's CA, and no Salesforce secret.")
	start := time.Now()
	seen, err := d.call(ctx, "acme")
	if err != nil {
		return err
	}
	d.say.fact("GET https://acme.my.salesforce.com/services/data/v65.0/echo → 200 in %d ms", time.Since(start).Milliseconds())
	d.say.fact("Salesforce saw the org's bearer token (fingerprint %s); the client never did", seen.Fingerprint)
	return claim(d.exchanges() == 1, "one exchange for the first token, saw %d", d.exchanges())
}

func (d *demo) burst(ctx context.Context) error {
	const callers = 200
	d.say.step("An expiry under load. The access token lives %s without use; then %d callers come at once.", demoSession, callers)
	before := d.exchanges()
	if err := d.say.wait(ctx, demoSession+200*time.Millisecond, "waiting for the access token to expire"); err != nil {
		return err
	}
	var done atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range callers {
		wg.Go(func() {
			_, errs[i] = d.call(ctx, "acme")
			d.say.progress("%d of %d callers answered", done.Add(1), callers)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.say.fact("%d callers, %d × 200, %d exchange, slowest caller %d ms", callers, done.Load(), d.exchanges()-before, time.Since(start).Milliseconds())
	return claim(d.exchanges() == before+1, "one exchange for %d callers, saw %d", callers, d.exchanges()-before)
}

func (d *demo) killedToken(ctx context.Context) error {
	d.say.step("A token that dies at Salesforce while 20 callers never stop.")
	before, calls := d.exchanges(), d.calls.Load()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for loading.Err() == nil && errs[i] == nil {
				_, errs[i] = d.call(ctx, "acme")
			}
		})
	}
	err := d.say.wait(ctx, time.Second, "calling")
	if err == nil {
		d.Sim.KillGrantAccess(d.Grants["acme"].ID)
		err = d.say.wait(ctx, time.Second, "the token is dead at Salesforce; calling on")
	}
	stop()
	wg.Wait()
	if err := errors.Join(errors.Join(errs...), err); err != nil {
		return err
	}
	d.say.fact("%d calls, every one 200; %d exchange; clients noticed nothing", d.calls.Load()-calls, d.exchanges()-before)
	return claim(d.exchanges() == before+1, "one exchange for the dead token, saw %d", d.exchanges()-before)
}

// watchDoubt follows org's grant until it is in want, calling all the while.
func (d *demo) watchDoubt(ctx context.Context, org, want string) (lab.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err := d.call(ctx, org); err != nil {
			return lab.Grant{}, err
		}
		g, err := d.Grant(ctx, org)
		if err != nil || g.State == want {
			return g, err
		}
		if err := d.say.wait(ctx, 200*time.Millisecond, fmt.Sprintf("%s is %s, its callers are served", org, g.State)); err != nil {
			return g, fmt.Errorf("%s is still %s: %w", org, g.State, err)
		}
	}
}

func (d *demo) lostAnswer(ctx context.Context) error {
	d.say.step("An answer that is lost after Salesforce rotated. To send the token again, to see, would end the grant.")
	if _, err := d.call(ctx, "globex"); err != nil {
		return err
	}
	d.Sim.Inject(sfsim.LoseAnswer().When(func(s sfsim.Seen) bool { return s.Host == lab.Host("globex") }))
	before := d.sent("globex")
	if _, _, err := d.AdminCall(ctx, http.MethodPost, "/v1/orgs/globex/refresh?wait=5s", nil); err != nil {
		return err
	}
	if _, err := d.watchDoubt(ctx, "globex", "in_doubt"); err != nil {
		return err
	}
	d.say.fact("the grant is in_doubt: the token may be spent, so it is not sent again; the access token serves on (200)")
	g, err := d.watchDoubt(ctx, "globex", "reauth_required")
	if err != nil {
		return err
	}
	replays, sent := d.Sim.Ledger().Replays, d.sent("globex")-before
	d.say.fact("settled by introspection: Salesforce says that the token is spent → %s (%s), callers still get 200", g.State, g.Reason)
	err = errors.Join(claim(sent == 1, "one token request, saw %d", sent),
		claim(g.Reason == "lost", "reason lost, saw %q", g.Reason), claim(replays == 0, "no replay, saw %d", replays))
	if err != nil {
		return err
	}
	fresh, err := d.Sim.Authorize(lab.ClientID, lab.Host("globex"), "")
	if err != nil {
		return err
	}
	status, body, err := d.AdminCall(ctx, http.MethodPut, "/v1/orgs/globex/grant", []byte(`{"refreshToken":"`+fresh.RefreshToken+`"}`))
	if err != nil || status >= 300 {
		return fmt.Errorf("the new authorisation: status %d %s: %w", status, body, err)
	}
	if _, err := d.watchDoubt(ctx, "globex", "ready"); err != nil {
		return err
	}
	d.say.fact("a person authorised again before any caller failed → ready")
	return nil
}

func (d *demo) killedProxy(ctx context.Context) error {
	d.say.step("kill -9 as soon as Salesforce's answer has reached the journal.")
	before, err := d.Grant(ctx, "acme")
	if err != nil {
		return err
	}
	if err := d.killAfterAnswer(ctx); err != nil {
		return err
	}
	d.say.fact("killed; the new refresh token is in the journal, whether or not the store has it")
	if err := d.Start(ctx); err != nil {
		return err
	}
	d.client = d.NewClient()
	if _, err := d.call(ctx, "acme"); err != nil {
		return err
	}
	after, err := d.Grant(ctx, "acme")
	if err != nil {
		return err
	}
	l := d.Sim.Ledger()
	d.say.fact("restarted: generation %d → %d, the next call 200, %d replays, nothing lost", before.Generation, after.Generation, l.Replays)
	return errors.Join(claim(after.Generation > before.Generation, "generation above %d, saw %d", before.Generation, after.Generation),
		claim(after.State == "ready", "ready, saw %s", after.State), claim(l.Replays == 0, "no replay, saw %d", l.Replays))
}

// killAfterAnswer kills serve as soon as the answer of an exchange has reached
// its journal.
func (d *demo) killAfterAnswer(ctx context.Context) error {
	answered := make(chan int64, 1)
	d.OnTokenAnswer(func(e sfsim.Exchange) {
		if e.Phase == sfsim.PhaseCommitted {
			select {
			case answered <- d.journalSize():
			default:
			}
		}
	})
	defer d.OnTokenAnswer(func(sfsim.Exchange) {})
	refreshing, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan struct{})
	go func() { // ends when serve is killed
		defer close(gone)
		_, _, _ = d.AdminCall(refreshing, http.MethodPost, "/v1/orgs/acme/refresh?wait=5s", nil) // cut by the kill
	}()
	defer func() { <-gone }()
	var size int64
	select {
	case size = <-answered:
	case <-time.After(5 * time.Second):
		return errors.Join(errors.New("no exchange came"), d.Kill())
	}
	for end := time.Now().Add(2 * time.Second); d.journalSize() <= size; {
		if time.Now().After(end) {
			return errors.Join(errors.New("the answer never reached the journal"), d.Kill())
		}
	}
	return d.Kill()
}

func (d *demo) journalSize() (n int64) {
	entries, err := os.ReadDir(d.StateDir() + "/journal")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

func (d *demo) summary() error {
	l := d.Sim.Ledger()
	d.say.end("Summary: %d calls answered 200, %d failed; %d exchanges at Salesforce, %d replays, %d lost answer (made on purpose, told at once).",
		d.calls.Load(), d.failed.Load(), l.Exchanges, l.Replays, len(l.Losses))
	return errors.Join(claim(d.failed.Load() == 0, "no failed call"), claim(l.Replays == 0, "no replay"), claim(len(l.Losses) == 1, "one loss, saw %d", len(l.Losses)),
		claim(len(l.Violations) == 0, "no violation at Salesforce, saw %v", l.Violations))
}

func (d *demo) tryIt(out io.Writer, keep bool) {
	if !keep {
		fmt.Fprintln(out, "\nTry it with curl: run it again with --keep.")
		return
	}
	fmt.Fprintf(out, `
It stays up until Ctrl-C. In another shell:

  export HTTPS_PROXY=http://%s:%s@%s
  curl --cacert %s https://acme.my.salesforce.com/services/data/v65.0/echo
  curl -s --unix-socket %s/%s http://localhost/v1/orgs/acme

`, lab.Client, d.Secret, d.Proxy, d.CAFile(), d.StateDir(), adminSocket)
}
