package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// The defaults of [Options].
const (
	DefaultPrefix  = "sallyport"
	DefaultLockTTL = 30 * time.Second
)

// Options of a store.
type Options struct {
	// URL is redis:// or rediss://, as go-redis parses them, or one of the two
	// with +sentinel (and master_name=NAME) or +cluster. Further addresses are
	// addr=HOST:PORT. Required. It may hold a password, and is never shown.
	URL string
	// TLS are roots and client certificate for rediss; nil: the system's roots.
	// Where it names no server, the certificate must name the address dialled.
	TLS *tls.Config
	// Prefix of all keys and channels; empty: [DefaultPrefix].
	Prefix string
	// Wait is how many replicas of the server must acknowledge a write; 0: none.
	Wait int
	// LockTTL is how long a lock lives that isn't renewed; 0: [DefaultLockTTL].
	LockTTL time.Duration
	// Replica is the writer's name in what is told to the others.
	Replica string
	// Sealer seals what [Store.Keep] keeps. Required for that alone.
	Sealer tokens.Sealer
	// Logger; nil: [slog.Default].
	Logger *slog.Logger
}

// Store is a Redis. It is safe for concurrent use.
type Store struct {
	d       dialled
	k       keys
	wait    int
	ttl     time.Duration
	replica string
	sealer  tokens.Sealer
	log     *slog.Logger

	closed     chan struct{}      // closed by Close
	stop       context.CancelFunc // ends the listener of releases
	listening  func()             // starts it
	close      func() error
	work       sync.WaitGroup // of goroutines that end with closed
	deployment atomic.Pointer[string]
	waiters    waiters

	// mu guards all below.
	mu      sync.Mutex
	holds   map[tokens.OrgID]*hold
	indexed map[tokens.OrgID]bool // this process has put it into the index

	firstSeen map[tokens.StoreIdentity]time.Time // by the store's clock, as far as was asked
}

var (
	_ tokens.Store   = (*Store)(nil)
	_ tokens.Claims  = (*Store)(nil)
	_ tokens.History = (*Store)(nil)
	_ tokens.Watcher = (*Store)(nil)
	_ tokens.Spool   = (*Store)(nil)
	_ registry.Store = (*Store)(nil)
)

// quiet is go-redis' logger: what fails is returned, and logged once at the edge.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// dialHook marks a failure to connect as one: no command has left.
type dialHook struct{}

// DialHook implements [redis.Hook].
func (dialHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, unsentError{err}
		}
		return c, nil
	}
}

// ProcessHook implements [redis.Hook].
func (dialHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements [redis.Hook].
func (dialHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Open connects and tries out every right that the store needs. It fails with
// [ErrURL], with [ErrDenied] where the password is wrong or a right is missing,
// and with [ErrUnavailable] where the server can't be reached or can't write
// now: then it is safe, and may help, to call again later.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	if missing, err := s.probe(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the Redis store: %w", err), s.Close())
	} else if len(missing) > 0 {
		return nil, errors.Join(fmt.Errorf("open the Redis store: %w", missing[0]), s.Close())
	}
	s.listening()
	return s, nil
}

func newStore(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.LockTTL == 0 {
		o.LockTTL = DefaultLockTTL
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.LockTTL < 100*time.Millisecond:
		return nil, fmt.Errorf("redisstore: a lock that lives for %v is lost at once: take seconds", o.LockTTL)
	case o.Wait < 0:
		return nil, errors.New("redisstore: Wait is below 0")
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, err
	}
	d, err := dial(o.URL, o.TLS)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{d: d, k: keys(o.Prefix), wait: o.Wait, ttl: o.LockTTL, replica: o.Replica, sealer: o.Sealer, log: o.Logger,
		closed: make(chan struct{}), stop: cancel, holds: map[tokens.OrgID]*hold{}, indexed: map[tokens.OrgID]bool{},
		firstSeen: map[tokens.StoreIdentity]time.Time{}}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		s.stop()
		err := s.d.Close()
		s.work.Wait()
		return err
	})
	s.listening = func() { s.work.Go(func() { s.hearReleases(ctx) }) } // ends with Close
	return s, nil
}

// Close ends all holds ([tokens.Hold.Lost]) and all connections. Calls after it
// fail with [ErrClosed].
func (s *Store) Close() error { return s.close() }

// Close closes the client.
func (d dialled) Close() error {
	if d.cluster != nil {
		return d.cluster.Close()
	}
	return d.alone.Close()
}

// view is what a script saw of an org.
type view struct {
	raw   string // of the record, empty for none
	sight tokens.Sight
}

// parseView reads {identity, age, record}, behind skip other values.
func parseView(cmd *redis.Cmd) (view, error) {
	v, err := cmd.Slice()
	if err != nil {
		return view{}, fmt.Errorf("redisstore: %w", err)
	}
	if len(v) > 3 {
		v = v[len(v)-3:]
	}
	return viewOf(v)
}

func viewOf(v []any) (view, error) {
	if len(v) != 3 {
		return view{}, errAnswer(v)
	}
	id, ok := v[0].(string)
	age, ok2 := number(v[1])
	raw, _ := v[2].(string)
	if !ok || !ok2 {
		return view{}, errAnswer(v)
	}
	return view{raw, tokens.Sight{Identity: tokens.StoreIdentity(id), Stamped: time.Duration(age) * time.Microsecond}}, nil
}
