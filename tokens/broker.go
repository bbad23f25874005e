package tokens

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/secret"
)

// Options of a [Broker]. All but those from Watcher on are required.
type Options struct {
	Store       Store
	Claims      Claims
	Journal     Journal
	Exchanger   Exchanger
	Sealer      Sealer
	Fingerprint Fingerprinter
	Directory   Directory
	History     History
	Replica     string // of this process, from the journal
	Deployment  string // of the store
	Policy      Policy

	// Watcher tells what other replicas write to Store. None: there are none.
	Watcher Watcher
	// Gate says whether an exchange of org may leave from this process now, as an
	// [*Error]. It is quick. None: always.
	Gate func(org OrgID) error
	// Asker asks other replicas for an exchange that Gate forbids here. None:
	// there are none.
	Asker Asker
	// Spool keeps answers where the journal's disk may not outlive the process.
	// None: it does.
	Spool Spool
	// Random is where attempts' names and jitter come from. None: crypto/rand.
	Random io.Reader
	// Instance is told, in a goroutine of its own, when an org's instance URL
	// was learned or has changed. May be nil.
	Instance func(org OrgID, url string)

	Tracer trace.Tracer // none: nothing is traced
	Meter  metric.Meter // none: nothing is measured
	Logger *slog.Logger // none: nothing is logged
}

// Broker hands out access tokens and exchanges refresh tokens, one exchange at
// a time for each org. It is safe for concurrent use.
type Broker struct {
	o   Options
	p   Policy
	tel *telemetry
	log *slog.Logger

	orgs     atomic.Pointer[map[OrgID]*org] // copied on write under mu
	mu       sync.Mutex                     // guards writes of orgs, and closed
	closed   bool
	draining atomic.Bool
	blind    atomic.Bool   // the journal can't be read: no exchange begins
	started  atomic.Bool   // Recover is over: nothing begins by itself before
	drained  chan struct{} // closed when draining begins

	// background gives the context of work that no caller owns. Drain ends it;
	// an exchange that was sent outlives it until its own deadline. work counts
	// the goroutines that Drain waits for; watching ends with background.
	background func() context.Context
	cancel     context.CancelFunc
	work       sync.WaitGroup
	watching   sync.WaitGroup
	beats      heartbeats
}

// org is what this replica knows of one org.
type org struct {
	id          OrgID
	live        atomic.Pointer[live]
	asking      sync.Mutex // guards the two below, and is held through the question
	elsewhere   Place      // of a token that was refused here and lives
	elsewhereAt time.Time

	waiting atomic.Int64 // callers that wait for a token

	mu         sync.Mutex
	memory     Record            // guarded by mu: the greatest seen, whole; the zero Record if none
	flight     *flight           // guarded by mu: the one under way
	open       *Attempt          // guarded by mu: the last that was seen open, until a record says how it ended
	seen       AttemptID         // guarded by mu: the open attempt of memory
	seenAt     time.Time         // guarded by mu: when it was first seen here
	failures   int               // guarded by mu: unsent or refused exchanges in a row
	failing    string            // guarded by mu: why the last exchange was not made, empty after one was
	notYet     time.Time         // guarded by mu: no exchange before
	early      int               // guarded by mu: tokens in a row that were refused before their first use
	suspect    Place             // guarded by mu: of the token whose early refusal is being waited with
	askNext    time.Time         // guarded by mu: no further question about a doubt before
	silent     int               // guarded by mu: questions in a row without a believable answer
	pending    *Committed        // guarded by mu: an answer that the store hasn't taken yet
	distrust   Place             // guarded by mu: adopted after a refusal; unverified whatever the record says
	rest       time.Time         // guarded by mu: nothing begins by itself before, after the last flight
	blocked    error             // guarded by mu: why no exchange begins, as long as blocks isn't 0
	blocks     int               // guarded by mu: what is left to be taken up of the last process
	tries      int               // guarded by mu: flights in a row that failed
	unsent     AttemptID         // guarded by mu: of ours, whose intent may stand and of which no byte left
	timer      *time.Timer       // guarded by mu: the next wake
	last       trace.SpanContext // guarded by mu: of the last exchange
	beating    bool              // guarded by mu: its heartbeat waits for its turn
	journalled bool              // guarded by mu: this state directory has seen the grant
	// acquainted says that this process saw the answer of memory's place as it was
	// issued, or a word since that its token is live.
	// What a store showed to a process that just began may be any age.
	acquainted bool      // guarded by mu
	refusal    *Error    // guarded by mu: what memory's state last said to callers, nil after each change of it
	refusedAt  time.Time // guarded by mu
}

// live is an access token that is being served. Only its atomics change.
type live struct {
	token  Token
	lease  Lease        // but for what the atomics say
	end    atomic.Int64 // believed end, in Unix nanoseconds
	look   atomic.Int64 // when its end is looked at
	used   atomic.Int64 // last success
	jitter float64      // of this token's look, in [0, 1)
	handed atomic.Bool  // whether anyone got it
	dead   atomic.Bool  // Salesforce refused it
	silent atomic.Bool  // nobody answered whether it lives
}

func (l *live) alive(now time.Time) bool {
	return l != nil && !l.dead.Load() && now.UnixNano() < l.end.Load()
}

// NewBroker checks o and returns a broker that knows nothing yet: call
// [Broker.Recover] before the first [Broker.Token].
func NewBroker(o Options) (*Broker, error) {
	for name, missing := range map[string]bool{
		"Store": o.Store == nil, "Claims": o.Claims == nil, "Journal": o.Journal == nil, "Exchanger": o.Exchanger == nil,
		"Sealer": o.Sealer == nil, "Fingerprint": o.Fingerprint == nil, "Directory": o.Directory == nil,
		"History": o.History == nil, "Replica": o.Replica == "",
	} {
		if missing {
			return nil, fmt.Errorf("tokens: Options.%s is required", name)
		}
	}
	b := &Broker{o: o, p: o.Policy.withDefaults(), log: o.Logger, drained: make(chan struct{})}
	if b.o.Random == nil {
		b.o.Random = rand.Reader
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if b.tel, err = newTelemetry(o.Tracer, o.Meter); err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.Background())
	b.background, b.cancel = func() context.Context { return base }, cancel
	b.orgs.Store(&map[OrgID]*org{})
	return b, b.tel.observe(b)
}

// Token returns a live access token of org. While one lives it is served at
// once, without I/O and whatever the grant's state; else the caller waits for
// the one exchange that is under way, at most [Policy.TokenWait]. It fails with
// an [*Error], or with ctx's error.
func (b *Broker) Token(ctx context.Context, id OrgID) (Token, error) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return b.token(ctx, id)
	}
	ctx, span := b.tel.tracer.Start(ctx, attr.SpanGet, trace.WithAttributes(attr.Org.String(string(id))))
	t, err := b.token(ctx, id)
	span.SetAttributes(attr.Epoch.Int64(t.Place.Epoch), attr.Generation.Int64(t.Place.Generation))
	endSpan(span, err)
	return t, err
}

func (b *Broker) token(ctx context.Context, id OrgID) (Token, error) {
	s := (*b.orgs.Load())[id]
	if s != nil {
		now := time.Now()
		if l := s.live.Load(); l.alive(now) {
			l.handed.Store(true)
			if now.UnixNano() >= l.look.Load() {
				b.lookAhead(s, l)
			}
			return l.token, nil
		}
	}
	return b.await(ctx, b.org(id), Place{}, "")
}

// Used says that Salesforce accepted t for a call, which resets the inactivity
// clock of an opaque token.
func (b *Broker) Used(id OrgID, t Token) {
	s := (*b.orgs.Load())[id]
	if s == nil {
		return
	}
	l := s.live.Load()
	if l == nil || l.token.Place != t.Place || l.dead.Load() {
		return
	}
	now := time.Now()
	// A second's worth of precision is enough for a clock of minutes, and spares
	// the cache line on a busy org.
	if now.UnixNano()-l.used.Load() > int64(l.lease.Life()/1000) {
		l.used.Store(now.UnixNano())
		b.extend(l)
	}
}

func (b *Broker) extend(l *live) {
	lease := l.lease
	if u := l.used.Load(); u != 0 {
		lease.Used = time.Unix(0, u)
	}
	l.end.Store(lease.End().UnixNano())
	l.look.Store(lease.LookAt(b.p.RefreshAhead, l.jitter).UnixNano())
}

// Replace says that Salesforce refused t as a dead session, and returns a newer
// token. Only where t is still the newest does that begin an exchange; N
// callers cause one. It fails as [Broker.Token] does, and with
// [CodeSessionRejected] where tokens are refused right after they were issued.
func (b *Broker) Replace(ctx context.Context, id OrgID, t Token) (Token, error) {
	s := b.org(id)
	if l := s.live.Load(); l != nil && l.token.Place.Compare(t.Place) > 0 && l.alive(time.Now()) {
		return l.token, nil
	}
	if b.livesElsewhere(ctx, s, t) {
		return Token{}, &Error{Org: id, Code: CodeSessionRejected, Temporary: true, RetryAfter: elsewhereFor,
			What: "Salesforce refuses here a session that lives where it was issued, at " + t.Address,
			Hint: "the org locks sessions to the address that they began from: send its calls from there, pin the org to an address, or take the lock out of its session settings; sallyport grant refresh " + string(id) + " moves the session"}
	}
	if wait := b.refuse(s, t); wait > 0 {
		return Token{}, &Error{Org: id, Code: CodeSessionRejected, Temporary: true, RetryAfter: wait,
			What: "Salesforce refuses access tokens right after it issued them",
			Hint: "look at the org's session settings (IP lock, login IP ranges, API access of the user)"}
	}
	return b.await(ctx, s, t.Place, CauseRejected)
}

// elsewhereFor is how long Salesforce's word is believed that a token which it
// refuses from here lives.
const elsewhereFor = time.Minute

// livesElsewhere reports whether t, which was issued to another address than
// this one and refused, lives: an exchange would only move the session, and
// have the other address ask for the next.
func (b *Broker) livesElsewhere(ctx context.Context, s *org, t Token) bool {
	set, _ := b.o.Directory.Settings(s.id)
	if t.Address == "" || set.Address == "" || t.Address == set.Address || set.Pinned || b.minted(s, t) {
		return false
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.elsewhere == t.Place && time.Since(s.elsewhereAt) < elsewhereFor {
		return true
	}
	live, err := b.introspect(ctx, s.id, Subject{Token: t.Access})
	if err != nil || !live.Active {
		return false
	}
	s.elsewhere, s.elsewhereAt = t.Place, time.Now()
	return true
}

// minted reports whether t came of this replica's exchange: where it lives now,
// nobody is.
func (b *Broker) minted(s *org, t Token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	past := s.memory.Attempts
	for i := len(past) - 1; i >= 0; i-- {
		if past[i].Outcome == OutcomeIssued {
			return s.memory.AccessPlace == t.Place && past[i].Replica == b.o.Replica
		}
	}
	return false
}

// refuse notes that t was refused, and returns how long no exchange may come of
// it. A token that was refused before its first success, after another such, is
// waited with; meanwhile others get it, since it may serve them.
func (b *Broker) refuse(s *org, t Token) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live.Load()
	if l == nil || l.token.Place != t.Place || l.dead.Load() {
		return 0
	}
	switch now := time.Now(); {
	case l.used.Load() != 0:
		s.early = 0
	case s.early == 0:
		s.early = 1
	case s.suspect != t.Place:
		s.early++
		s.suspect = t.Place
		s.notYet = later(s.notYet, now.Add(backoff(s.early-1, b.jitter())))
		return s.notYet.Sub(now)
	case now.Before(s.notYet):
		return s.notYet.Sub(now)
	}
	l.dead.Store(true)
	return 0
}

func (b *Broker) org(id OrgID) *org {
	if s := (*b.orgs.Load())[id]; s != nil {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.orgs.Load()
	if s := old[id]; s != nil {
		return s
	}
	s := &org{id: id}
	m := maps.Clone(old)
	m[id] = s
	b.orgs.Store(&m)
	return s
}

// serve makes the access token of r the one that is served, if it has one that
// is newer. It returns the token that is served afterwards.
func (b *Broker) serve(s *org, r Record) (*live, error) {
	cur := s.live.Load()
	if len(r.Access) == 0 {
		if r.Revoked() {
			s.live.Store(nil)
			return nil, nil
		}
		return cur, nil
	}
	if cur != nil && cur.token.Place.Compare(r.AccessPlace) >= 0 {
		return cur, nil
	}
	plain, err := b.o.Sealer.Open(r.Access, string(s.id), FieldAccess)
	if err != nil {
		return cur, err
	}
	set, _ := b.o.Directory.Settings(s.id)
	l := &live{
		token: Token{Place: r.AccessPlace, Access: secret.NewText(string(plain)), InstanceURL: r.InstanceURL, IssuedAt: r.IssuedAt, Address: r.Address,
			OrgID: r.SalesforceOrg, UserID: r.SalesforceUser},
		lease:  Lease{Obtained: r.AccessAt, Session: set.SessionTimeout, Fixed: r.ExpiresAt},
		jitter: b.jitter(),
	}
	b.extend(l)
	s.live.Store(l)
	return l, nil
}

// Reconfigure takes over what the registry says now about session timeouts, and
// looks at orgs again that were disabled.
func (b *Broker) Reconfigure() {
	for id, s := range *b.orgs.Load() {
		set, _ := b.o.Directory.Settings(id)
		s.mu.Lock()
		if l := s.live.Load(); l != nil && l.lease.Session != set.SessionTimeout {
			n := l.copy()
			n.lease.Session = set.SessionTimeout
			b.extend(n)
			s.live.CompareAndSwap(l, n)
		}
		if s.memory.Known() {
			s.rest = time.Time{}
			b.arm(s)
		}
		s.mu.Unlock()
	}
}

// copy is l with atomics of its own.
func (l *live) copy() *live {
	n := &live{token: l.token, lease: l.lease, jitter: l.jitter}
	n.used.Store(l.used.Load())
	n.handed.Store(l.handed.Load())
	n.dead.Store(l.dead.Load())
	return n
}

// remember takes r into memory if it is newer than what is there, serves its
// access token, and arms the next wake.
func (b *Broker) remember(s *org, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Compare(s.memory) <= 0 && s.memory.Known() {
		return
	}
	if s.memory.Place != r.Place {
		s.silent, s.askNext = 0, time.Time{}
	}
	if r.InstanceURL != "" && r.InstanceURL != s.memory.InstanceURL && b.o.Instance != nil {
		b.spawn(func() { b.o.Instance(s.id, r.InstanceURL) })
	}
	if r.Forgotten && !s.memory.Forgotten {
		b.spawn(func() { // whoever forgot it, this journal holds its secrets too
			if err := b.o.Journal.Forget(s.id); err != nil {
				b.log.Error("the journal still holds secrets of a grant that was forgotten: restart on a sound disk", "org", s.id, "error", err)
			}
		})
	}
	s.memory, s.refusal = r, nil
	if r.Attempt != nil {
		s.open = r.Attempt
	} else if a := s.open; a != nil && (r.Ended(a.ID) || r.Place.Compare(a.Base) > 0) {
		s.open = nil
	}
	if a := r.Attempt; a == nil {
		s.seen, s.seenAt = "", time.Now()
	} else if s.seen != a.ID {
		s.seen, s.seenAt = a.ID, time.Now()
	}
	if _, err := b.serve(s, r); err != nil {
		b.log.Error("the access token that the store holds doesn't open: check the keyset", "org", s.id, "error", err)
	}
	b.arm(s)
}

// Drain begins no further exchange, waits until the exchanges under way have
// ended and every answer has been committed, and ends the background work. An
// exchange is waited for up to its own deadline, whatever ctx says of callers;
// ctx bounds only the wait for the store.
func (b *Broker) Drain(ctx context.Context) error {
	b.mu.Lock()
	if !b.draining.Swap(true) {
		close(b.drained)
	}
	b.closed = true
	b.mu.Unlock()
	for _, s := range *b.orgs.Load() {
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
	}
	done := make(chan struct{})
	go func() { // ends with the work
		defer close(done)
		b.work.Wait()
	}()
	select {
	case <-done:
		b.cancel()
		b.watching.Wait()
		return nil
	case <-ctx.Done():
	}
	b.cancel()
	<-done
	b.watching.Wait()
	for id, s := range *b.orgs.Load() {
		s.mu.Lock()
		p := s.pending
		s.mu.Unlock()
		if p != nil {
			return fmt.Errorf("org %s: the store was away; the answer is in the journal and is committed at the next start: %w", id, ctx.Err())
		}
	}
	return nil
}

// spawn runs f in the background, counted, unless the broker was closed.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.work.Add(1)
	go func() { // ends with f, which ends by its own deadline or with b.background
		defer b.work.Done()
		f()
	}()
	return true
}

// enter counts a command that some caller runs, so that Drain waits for it. It
// fails once the broker was closed.
func (b *Broker) enter(id OrgID) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, b.shuttingDown(id)
	}
	b.work.Add(1)
	return b.work.Done, nil
}

func (b *Broker) shuttingDown(id OrgID) error {
	return &Error{Org: id, Code: CodeShuttingDown, Temporary: true, RetryAfter: time.Second,
		What: "this sallyport is shutting down", Hint: "call again: another replica, or the next start, serves"}
}

// asError makes err an [*Error] of org.
func asError(id OrgID, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Org: id, Code: CodeUnavailable, Temporary: true, RetryAfter: time.Second,
		What: "no access token could be had", Hint: "see sallyport grant show and the log", Err: err}
}

func (b *Broker) newAttemptID() AttemptID {
	var id [16]byte
	_, _ = io.ReadFull(b.o.Random, id[:]) // crypto/rand's never fails
	return AttemptID(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]))
}

// jitter is a random number in [0, 1).
func (b *Broker) jitter() float64 {
	var f [8]byte
	_, _ = io.ReadFull(b.o.Random, f[:]) // crypto/rand's never fails
	return float64(binary.LittleEndian.Uint64(f[:])>>11) / (1 << 53)
}

// read is h's record, taken into memory as everything that is read.
func (b *Broker) read(s *org, h Hold) (Record, Sight) {
	r, sight := h.Record()
	if r.Known() {
		b.remember(s, r)
	}
	return r, sight
}
