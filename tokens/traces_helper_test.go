package tokens_test

import (
	"context"
	"errors"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// The tests of the traces play what the checker of the protocol's first draft
// found, each by its shortest trace: 8 is the refresh token that is exchanged, 9
// its successor, r1 who exchanges it, r0 who is there beside.

// unharmed checks what Salesforce saw: that many token requests, no replay, no
// token sent again that it hadn't called live since, and no revocation.
func (b *bench) unharmed(requests int) {
	b.t.Helper()
	b.expect(requests)
	for _, m := range b.sf.Misuse() {
		b.t.Error(m)
	}
	b.unrevoked()
}

// unrevoked checks that no revocation was sent to Salesforce.
func (b *bench) unrevoked() {
	b.t.Helper()
	if b.sf.Revoked != 0 {
		b.t.Errorf("%d revocations were sent to Salesforce, which nobody asked for", b.sf.Revoked)
	}
}

// served has a caller come every ten minutes for d, each of whom gets a token
// that Salesforce accepts.
func (b *bench) served(d time.Duration) {
	b.t.Helper()
	for ; d > 0; d -= 10 * time.Minute {
		b.token()
		wait(min(d, 10*time.Minute))
	}
	b.token()
}

// refused checks what a caller is told who can't be served.
func (b *bench) refused(want tokens.Code) {
	b.t.Helper()
	if _, err := b.Token(b.t.Context(), acme); code(err) != want {
		b.t.Errorf("callers are told %v, want %s", err, want)
	}
}

// refresh is an exchange that a person asks for and gets.
func (b *bench) refresh() {
	b.t.Helper()
	if _, err := b.Refresh(b.t.Context(), acme); err != nil {
		b.t.Errorf("the grant doesn't exchange: %v", err)
	}
	synctest.Wait() // the others hear of it
}

// shown checks the record that the store shows.
func (b *bench) shown(generation int64, state tokens.State) {
	b.t.Helper()
	if r := b.kept(); r.Generation != generation || r.State != state {
		b.t.Errorf("the store shows %s at generation %d, want %s at %d", r.State, r.Generation, state, generation)
	}
}

// at is the bench as another replica has it.
func (fl *fleet) at(b *tokens.Broker) *bench {
	v := *fl.bench
	v.Broker, v.journal, v.disk = b, nil, nil
	return &v
}

// settles has the replica show the store what it remembers, as it does once the
// store is back, and waits until the store has settled.
func (b *bench) settles() {
	b.t.Helper()
	if left, err := b.Realign(b.t.Context()); err != nil {
		b.t.Errorf("%v weren't shown to the store: %v", left, err)
	}
	wait(7 * time.Minute)
}

// gone ends another replica for good, in peace; its disk goes with it.
func (fl *fleet) gone(b *tokens.Broker) {
	fl.t.Helper()
	synctest.Wait() // what it wrote is heard
	if err := b.Drain(fl.t.Context()); err != nil {
		fl.t.Error(err)
	}
}

// fall ends r1 as a kill does, and rise is its next process, on the same disk.
// The store and the others go on.
func (fl *fleet) fall() {
	fl.t.Helper()
	disk := fl.disk.Kill()
	fl.storeFails(storeOps...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = fl.Drain(ctx)      // nothing of it reaches the store any more
	_ = fl.journal.Close() // nor the disk
	fl.store.SetHooks(nil, nil)
	fl.disk = disk
}

func (fl *fleet) rise() {
	fl.t.Helper()
	fl.startWith(fl.on)
}

// again is r1 in a next process that was ended and begun in peace, with change.
func (fl *fleet) again(change func(*tokens.Options)) {
	fl.t.Helper()
	fl.stop()
	fl.startWith(func(o *tokens.Options) {
		fl.on(o)
		change(o)
	})
}

// unsettled is a journal of a process that never gets to its last mark.
type unsettled struct{ tokens.Journal }

func (unsettled) Settle(tokens.AttemptID, tokens.Outcome) error {
	return errors.New("the process ended before")
}
