package simtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

type crashOp = crashfs.Op

const (
	opSync  = crashfs.OpSync
	opWrite = crashfs.OpWrite
)

// disk is a state directory. It outlives processes.
type disk struct {
	fs     *crashfs.FS
	burned bool // destroyed, with what only it had
}

// replica is a place where one process runs at a time.
type replica struct {
	index int
	disk  *disk
	proc  *process // nil while none runs
}

// process is one life of a replica.
type process struct {
	w       *world
	rep     *replica
	name    string
	serial  int
	fs      *crashfs.FS
	journal *journal.Journal
	broker  *tokens.Broker
	ctx     context.Context // the life of the process
	cancel  context.CancelFunc

	paused time.Time // by the driver: nothing of it is let through before
	cut    time.Time // by the driver: the store can't be reached before
	asked  int       // by the driver: operators' commands under way that may ask Salesforce

	// Guarded by world.mu.
	dead     bool
	ready    bool // it has recovered
	draining bool
	known    map[tokens.OrgID]tokens.Place
	access   map[tokens.OrgID]tokens.Record // with the newest access token that it has seen
	holding  map[tokens.OrgID]bool
}

// start begins a process on what the disk and the store hold.
func (w *world) start(r *replica) {
	if r.proc != nil {
		return
	}
	if w.sc.Switches.Exclusive {
		w.mem.Restart()
	}
	w.serial++
	p := &process{w: w, rep: r, name: fmt.Sprintf("r%d.%d", r.index, w.serial), serial: w.serial, fs: r.disk.fs,
		known: map[tokens.OrgID]tokens.Place{}, access: map[tokens.OrgID]tokens.Record{}, holding: map[tokens.OrgID]bool{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	j, err := journal.Open(journal.Options{Dir: "/state", Sealer: sealer{}, FS: p.fs})
	if err != nil {
		w.breaks("the journal doesn't open: %v", err)
		return
	}
	p.journal = j
	p.found()
	s := storePort{p}
	o := tokens.Options{Store: s, Claims: s, Journal: journalPort{p, j}, Exchanger: exchangerPort{p}, Sealer: sealer{}, Fingerprint: prints{},
		Directory: w, History: s, Replica: j.Replica(), Deployment: "d1", Policy: w.policy(), Logger: slog.New(watchful{p})}
	seedRandom(&o, rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", w.sc.Seed<<8+uint64(w.serial)))))
	if w.sc.Switches.Hearing != HearNothing && !w.sc.Switches.Exclusive {
		o.Watcher = s
	}
	if w.sc.Switches.Spool {
		o.Spool = s
	}
	if p.broker, err = tokens.NewBroker(o); err != nil {
		w.breaks("no broker: %v", err)
		return
	}
	r.proc = p
	w.log("%s starts", p.name)
	go func() { // ends with Recover, which a kill cuts short
		if err := p.broker.Recover(p.ctx); err != nil && !p.isDead() {
			w.breaks("a replica can't start: %v", err)
		}
		w.mu.Lock()
		p.ready = true
		w.mu.Unlock()
	}()
}

// found notes what the disk has kept, by fsync or by luck.
func (p *process) found() {
	for e, err := range p.journal.Entries() {
		if err != nil {
			continue
		}
		if e.Kind == tokens.EntryEnrolment {
			p.w.journalled(p, open(e.Record))
		}
		if i, err := p.w.sf.Parse(e.Answer); err == nil {
			p.w.journalled(p, i.Refresh.Reveal())
		}
	}
}

// seedRandom makes a broker draw its jitter and ids from random.
func seedRandom(o *tokens.Options, random *rand.ChaCha8) {
	if f := reflect.ValueOf(o).Elem().FieldByName("Random"); f.IsValid() {
		f.Set(reflect.ValueOf(io.Reader(&locked{r: random})))
	}
}

// locked is a source of randomness that several goroutines may use. Jitter,
// which is read eight bytes at a time, is the same for all of a process's life:
// its goroutines draw it in no fixed order.
type locked struct {
	mu     sync.Mutex
	r      *rand.ChaCha8 // guarded by mu
	jitter []byte        // guarded by mu
}

func (l *locked) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p) == 8 {
		if l.jitter == nil {
			l.jitter = make([]byte, 8)
			_, _ = l.r.Read(l.jitter) // never fails
		}
		return copy(p, l.jitter), nil
	}
	return l.r.Read(p)
}

func (w *world) policy() tokens.Policy { return tokens.Policy{Doubt: w.sc.Switches.Doubt} }

// kill ends a process at once: nothing of it reaches anything any more. how is
// "kill", "power", which loses what wasn't fsynced, or "burn", which destroys
// the disk.
func (w *world) kill(p *process, how string, restart time.Duration) {
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return
	}
	p.dead = true
	rest := w.waiting[:0]
	var mine []*call
	for _, c := range w.waiting {
		if c.p == p {
			mine = append(mine, c)
		} else {
			rest = append(rest, c)
		}
	}
	w.waiting = rest
	w.mu.Unlock()
	for _, c := range mine {
		c.reply <- errDead
	}
	p.cancel()
	r := p.rep
	r.proc = nil
	switch how {
	case "burn":
		r.disk.burned, w.burned = true, true
		p.fs.Kill()
		r.disk = &disk{fs: crashfs.New(w.rng.Uint64())}
	case "power":
		r.disk.fs = p.fs.Crash()
	default:
		r.disk.fs = p.fs.Kill()
	}
	w.crashes++
	w.log("%s is gone (%s)", p.name, how)
	go p.bury()
	if restart > 0 {
		w.later(restart, func() { w.start(r) })
	}
}

// bury ends the goroutines of a process that is gone.
func (p *process) bury() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.broker.Drain(over) // whatever it says, nobody is there
}

// drain ends a process in order.
func (w *world) drain(p *process, restart time.Duration) {
	w.mu.Lock()
	busy := p.draining || p.dead
	p.draining = true
	w.mu.Unlock()
	if busy {
		return
	}
	go func() { // ends with the drain
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_ = p.broker.Drain(ctx) // an answer that the store hasn't taken is in the journal
		_ = p.journal.Close()
		_ = p.gate(&op{p: p, then: func() {
			w.mu.Lock()
			p.dead = true
			w.mu.Unlock()
			p.cancel()
			p.rep.proc = nil
			w.later(restart, func() { w.start(p.rep) })
		}}, "drained")
	}()
}

func (p *process) isDead() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.dead
}

func (p *process) holds(org tokens.OrgID, yes bool) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.holding[org] = yes
}

// saw notes a record that reached p.
func (p *process) saw(r tokens.Record) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if r.Place.Compare(p.known[r.Org]) > 0 {
		p.known[r.Org] = r.Place
	}
	if old := p.access[r.Org]; r.Revoked() && r.Epoch >= old.Epoch || len(r.Access) > 0 && r.AccessPlace.Compare(old.AccessPlace) >= 0 {
		p.access[r.Org] = r
	}
}

// serves is the newest access token that p has seen of org, empty if none.
func (p *process) serves(org tokens.OrgID) string {
	p.w.mu.Lock()
	r := p.access[org]
	p.w.mu.Unlock()
	if len(r.Access) == 0 {
		return ""
	}
	plain, err := sealer{}.Open(r.Access, string(org), tokens.FieldAccess)
	if err != nil {
		return ""
	}
	return string(plain)
}

// sealer hides what it seals from nobody, and binds it as a real one does.
type sealer struct{}

func (sealer) Seal(plain []byte, org, field string) ([]byte, error) {
	b := append([]byte(nil), org+"/"+field+"/"...)
	n := len(b)
	b = append(b, plain...)
	for i := n; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	return b, nil
}

func (sealer) Open(sealed []byte, org, field string) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(sealed), org+"/"+field+"/")
	if !ok {
		return nil, fmt.Errorf("sealed elsewhere than at %s/%s", org, field)
	}
	b := []byte(rest)
	for i := range b {
		b[i] ^= 0x5a
	}
	return b, nil
}

// open is the refresh token of a record, empty if there is none.
func open(r tokens.Record) string {
	b, err := sealer{}.Open(r.Refresh, string(r.Org), tokens.FieldRefresh)
	if err != nil {
		return ""
	}
	return string(b)
}

// prints is a fingerprinter.
type prints struct{}

func (prints) Of(token string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(token)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// watchful is a log handler that keeps nothing and looks for secrets.
type watchful struct{ p *process }

func (watchful) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h watchful) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		h.p.w.discreet("the log says", fmt.Sprint(a.Value.Any()))
		return true
	})
	if h.p.w.tracing() && !h.p.isDead() {
		var b strings.Builder
		r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s=%v", a.Key, a.Value.Any()); return true })
		h.p.w.note("%s logs: %s%s", h.p.name, r.Message, b.String())
	}
	return nil
}

func (h watchful) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h watchful) WithGroup(string) slog.Handler      { return h }
