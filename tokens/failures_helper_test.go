package tokens_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// way is Salesforce at the end of a way that a test has in its hands. It says
// what its log was told, too.
type way struct {
	tokens.Exchanger
	connect func(context.Context) error // before there is a connection
	before  func()                      // between the intent and the send guard
	after   func(*sentBack)             // once something came back, or nothing
	issue   func(*tokens.Issue)         // what a parsed answer brought
	log     said
}

// sentBack is what a line returns.
type sentBack struct {
	answer tokens.Answer
	sent   bool
	err    error
}

func (w *way) Connect(ctx context.Context, org tokens.OrgID) (tokens.Line, error) {
	if w.connect != nil {
		if err := w.connect(ctx); err != nil {
			return nil, err
		}
	}
	l, err := w.Exchanger.Connect(ctx, org)
	if err != nil {
		return nil, err
	}
	return &wayLine{l, w}, nil
}

func (w *way) Parse(a tokens.Answer) (tokens.Issue, error) {
	i, err := w.Exchanger.Parse(a)
	if err == nil && w.issue != nil {
		w.issue(&i)
	}
	return i, err
}

type wayLine struct {
	tokens.Line
	w *way
}

func (l *wayLine) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if l.w.before != nil {
		l.w.before()
	}
	var s sentBack
	s.answer, s.sent, s.err = l.Line.Send(ctx, c, guard)
	if l.w.after != nil {
		l.w.after(&s)
	}
	return s.answer, s.sent, s.err
}

// said is a log's text.
type said struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// Write implements [io.Writer].
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) has(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), words)
}

// through is an enrolled world whose process reaches Salesforce by w, with the
// other changes that a test wants.
func through(t *testing.T, w *way, f func(*bench), changes ...func(*bench, *tokens.Options)) {
	t.Helper()
	world(t, func(b *bench) {
		w.Exchanger = b.sf
		b.with(func(o *tokens.Options) {
			o.Exchanger, o.Logger = w, slog.New(slog.NewTextHandler(&w.log, nil))
			for _, change := range changes {
				change(b, o)
			}
		})
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		f(b)
	})
}

// end ends the process as a crash does, and starts another on what left makes of
// the disk. between happens while no process runs; it may be nil.
func (b *bench) end(left func(*crashfs.FS) *crashfs.FS, between func()) {
	b.t.Helper()
	disk, store := left(b.disk), b.store
	b.storeFails(storeOps...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.Drain(ctx)      // nothing of it reaches the store any more
	_ = b.journal.Close() // nor the disk
	store.SetHooks(nil, nil)
	store.Restart()
	if between != nil {
		between()
	}
	b.disk = disk
	b.start()
}

// refreshing begins an exchange that nobody waits for.
func refreshing(b *tokens.Broker) {
	go func() { _, _ = b.Refresh(context.Background(), acme) }() // ends with its flight
}

// kept is acme's record as the store has it.
func (b *bench) kept() tokens.Record {
	b.t.Helper()
	r, err := b.store.Load(b.t.Context(), acme)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// intents counts the exchanges that the journal knows of.
func (b *bench) intents() (n int) {
	b.t.Helper()
	for e, err := range b.journal.Entries() {
		if err != nil {
			b.t.Error(err)
		}
		if e.Kind == tokens.EntryIntent {
			n++
		}
	}
	return n
}

// plain opens the refresh token of acme's record.
func (b *bench) plain() secret.Text {
	b.t.Helper()
	raw, err := b.keys.Open(b.kept().Refresh, string(acme), tokens.FieldRefresh)
	if err != nil {
		b.t.Fatal(err)
	}
	return secret.NewText(string(raw))
}

func asError(err error, to **tokens.Error) bool { return errors.As(err, to) }

// spend exchanges a token past the process, as another holder of it does, and
// returns its successor.
func (b *bench) spend(token secret.Text) secret.Text {
	b.t.Helper()
	l, err := b.sf.Connect(b.t.Context(), acme)
	if err != nil {
		b.t.Fatal(err)
	}
	defer l.Close()
	a, _, err := l.Send(b.t.Context(), tokens.Credential{Kind: "refresh_token", SingleUse: true, Secret: token}, func() error { return nil })
	if err != nil {
		b.t.Fatal(err)
	}
	i, err := b.sf.Parse(a)
	if err != nil {
		b.t.Fatal(err)
	}
	return i.Refresh
}
