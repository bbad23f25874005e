package tokens_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// bench is a broker on a store and a journal in memory, against a Salesforce in
// memory, under virtual time.
type bench struct {
	t       *testing.T
	sf      *tokenstest.Force
	store   *memStore
	journal *memJournal
	keys    *secret.Keyring
	policy  tokens.Policy
	dir     directory
	*tokens.Broker
}

const acme = tokens.OrgID("acme")

// world runs f in a bubble of virtual time with one org, acme, whose session
// timeout is two hours.
func world(t *testing.T, f func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		json, err := secret.NewKeyset()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := secret.ParseKeyring(json)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, sf: tokenstest.NewForce(), store: newMemStore(), journal: newMemJournal(), keys: keys,
			dir: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}}}
		b.start()
		f(b)
		b.stop()
	})
}

// enrolled is a world in which a person has authorised acme.
func enrolled(t *testing.T, f func(*bench)) {
	t.Helper()
	world(t, func(b *bench) {
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		f(b)
	})
}

func (b *bench) start() {
	b.t.Helper()
	var err error
	b.Broker, err = tokens.NewBroker(tokens.Options{Store: b.store, Claims: b.store, Journal: b.journal, Exchanger: b.sf, Sealer: b.keys,
		Fingerprint: hashes{}, Directory: b.dir, History: b.store, Replica: "r1", Deployment: "d1", Policy: b.policy, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Recover(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := b.Drain(ctx); err != nil {
		b.t.Error(err)
	}
}

// restart is a new process on the same disk.
func (b *bench) restart() {
	b.t.Helper()
	b.stop()
	b.store.reopen()
	b.start()
}

func (b *bench) token() tokens.Token {
	b.t.Helper()
	t, err := b.Token(b.t.Context(), acme)
	if err != nil {
		b.t.Fatalf("no token: %v", err)
	}
	if !b.sf.Call(t) {
		b.t.Fatalf("Salesforce refuses the token of %v", t.Place)
	}
	return t
}

// expect checks what Salesforce saw: requests at the token endpoint, none of
// them a replay.
func (b *bench) expect(requests int) {
	b.t.Helper()
	got, replays := b.sf.Seen()
	if got != requests || replays != 0 {
		b.t.Errorf("Salesforce saw %d token requests, %d of them replays; want %d and 0", got, replays, requests)
	}
}

func (b *bench) state(want tokens.State, why tokens.Reason) {
	b.t.Helper()
	st, _ := b.Status(acme)
	if st.State != want || st.Reason != why {
		b.t.Errorf("the grant is %s %s (%s), want %s %s", st.State, st.Reason, st.Detail, want, why)
	}
}

func code(err error) tokens.Code {
	var e *tokens.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

type directory map[tokens.OrgID]tokens.Settings

func (d directory) Settings(org tokens.OrgID) (tokens.Settings, bool) { s, ok := d[org]; return s, ok }

type hashes struct{}

func (hashes) Of(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:8])
}

// memStore is a store in memory whose faults are set by the test.
type memStore struct {
	mu      sync.Mutex
	life    int
	fence   uint64
	records map[tokens.OrgID]tokens.Record
	locks   map[tokens.OrgID]chan struct{}
	claims  map[string]tokens.OrgID
	lines   []tokens.Exchange
	away    bool
	onSave  func(tokens.Record) error // asked before a Save; ErrUnknown after it landed
	saved   bool                      // whether onSave's write lands all the same
}

func newMemStore() *memStore {
	return &memStore{records: map[tokens.OrgID]tokens.Record{}, locks: map[tokens.OrgID]chan struct{}{}, claims: map[string]tokens.OrgID{}}
}

func (s *memStore) reopen() { s.mu.Lock(); s.life++; s.mu.Unlock() }

func (s *memStore) setAway(v bool) { s.mu.Lock(); s.away = v; s.mu.Unlock() }

func (s *memStore) sight() tokens.Sight {
	return tokens.Sight{Identity: tokens.StoreIdentity("life-" + string(rune('a'+s.life))), Stamped: time.Hour, Exclusive: true}
}

var errAway = errors.New("the store is away")

func (s *memStore) Load(_ context.Context, org tokens.OrgID) (tokens.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[org]
	switch {
	case s.away:
		return r, errAway
	case !ok:
		return r, tokens.ErrUnknownOrg
	}
	return r, nil
}

func (s *memStore) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	s.mu.Lock()
	l := s.locks[org]
	if l == nil {
		l = make(chan struct{}, 1)
		s.locks[org] = l
	}
	away := s.away
	s.mu.Unlock()
	if away {
		return errAway
	}
	select {
	case l <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l }()
	s.mu.Lock()
	s.fence++
	h := &memHold{s: s, org: org, fence: s.fence, r: s.records[org]}
	s.mu.Unlock()
	return fn(ctx, h)
}

type memHold struct {
	s     *memStore
	org   tokens.OrgID
	fence uint64
	r     tokens.Record
}

func (h *memHold) Record() (tokens.Record, tokens.Sight) { return h.r, h.s.sight() }
func (h *memHold) Fence() uint64                         { return h.fence }
func (h *memHold) Lost() <-chan struct{}                 { return nil }
func (h *memHold) Save(_ context.Context, r tokens.Record) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.away {
		return errAway
	}
	if h.s.onSave != nil {
		if err := h.s.onSave(r); err != nil {
			if h.s.saved {
				r.Revision, r.Fence = max(r.Revision, h.r.Revision)+1, h.fence
				h.s.records[h.org], h.r = r, r
			}
			return err
		}
	}
	if h.s.records[h.org].Compare(h.r) != 0 {
		return tokens.ErrFenced
	}
	r.Revision, r.Fence = max(r.Revision, h.r.Revision)+1, h.fence
	h.s.records[h.org], h.r = r, r
	return nil
}

func (s *memStore) Commit(_ context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return tokens.Record{}, 0, errAway
	}
	n, l := c.Over(s.records[org], s.sight())
	s.records[org] = n
	if n.Fingerprint != "" {
		s.claims[n.Fingerprint] = org
	}
	return n, l, nil
}

func (s *memStore) All(context.Context) iter.Seq2[tokens.Record, error] {
	s.mu.Lock()
	all := make([]tokens.Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r)
	}
	s.mu.Unlock()
	return func(yield func(tokens.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (s *memStore) Claim(_ context.Context, org tokens.OrgID, names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if o, ok := s.claims[n]; ok && o != org {
			return tokens.ErrClaimed
		}
	}
	for _, n := range names {
		s.claims[n] = org
	}
	return nil
}

func (s *memStore) Claimant(_ context.Context, name string) (tokens.OrgID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[name], nil
}

func (s *memStore) Append(_ context.Context, e tokens.Exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, e)
	return nil
}

func (s *memStore) history() []tokens.Exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// memJournal is a journal in memory.
type memJournal struct {
	mu      sync.Mutex
	entries []*tokens.Entry
	begin   error
	answer  error
}

func newMemJournal() *memJournal { return &memJournal{} }

func (j *memJournal) Begin(e tokens.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.begin != nil {
		return j.begin
	}
	j.entries = append(j.entries, &e)
	return nil
}

func (j *memJournal) find(id tokens.AttemptID) *tokens.Entry {
	for _, e := range j.entries {
		if e.Attempt == id {
			return e
		}
	}
	return &tokens.Entry{}
}

func (j *memJournal) Answer(id tokens.AttemptID, a tokens.Answer) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.answer != nil {
		return j.answer
	}
	j.find(id).Answer = slices.Clone(a)
	return nil
}

func (j *memJournal) Settle(id tokens.AttemptID, o tokens.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.find(id)
	e.Settled, e.Outcome = true, o
	return nil
}

func (j *memJournal) Entries() iter.Seq2[tokens.Entry, error] {
	j.mu.Lock()
	all := make([]tokens.Entry, 0, len(j.entries))
	for _, e := range j.entries {
		all = append(all, *e)
	}
	j.mu.Unlock()
	return func(yield func(tokens.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (j *memJournal) Forget(org tokens.OrgID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = slices.DeleteFunc(j.entries, func(e *tokens.Entry) bool { return e.Org == org })
	return nil
}
