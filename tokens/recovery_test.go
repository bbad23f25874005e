package tokens_test

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// slow is a journal that takes a while to be read, as one of a thousand orgs does.
type slow struct{ tokens.Journal }

func (j slow) Entries() iter.Seq2[tokens.Entry, error] {
	return func(yield func(tokens.Entry, error) bool) {
		<-time.After(5 * time.Second)
		j.Journal.Entries()(yield)
	}
}

func TestARefusalThatOnlyTheJournalKnowsIsNotTakenForADoubt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultDead)
		before, _ := b.sf.Seen()
		b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if n, _ := b.sf.Seen(); op == tokenstest.OpSave && n > before {
				return errAway // from the answer on
			}
			return nil
		}, nil)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.with(func(o *tokens.Options) {
			b.store.SetHooks(nil, nil)
			o.Journal = slow{o.Journal}
		})
		b.state(tokens.ReauthRequired, tokens.ReasonDead)
		b.expect(2)
	})
}

func TestNothingIsAskedAboutATokenThatTheJournalKnowsToBeSpent(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.ReuseOnIntrospect = true
		old := b.store.Snapshot()
		b.token()
		b.with(func(o *tokens.Options) {
			wait(27 * 24 * time.Hour) // the heartbeat is due
			b.store.Restore(old)
			o.Journal = slow{o.Journal}
		})
		b.token() // asking about the spent one would have ended the grant
		b.expect(2)
	})
}

func TestAnAuthorisationWithoutARefreshTokenChangesNothingNorAfterARestart(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		before, _ := b.Status(acme)
		if _, err := b.Authorize(b.t.Context(), acme, tokens.Credential{Kind: "authorization_code", Secret: secret.NewText("code")}); err == nil {
			b.t.Fatal("it was taken")
		}
		b.restart()
		if st, _ := b.Status(acme); st.Place != before.Place || st.Orphans != 0 {
			t.Errorf("the grant is at %v with %d orphans, was at %v", st.Place, st.Orphans, before.Place)
		}
		wait(3 * time.Hour)
		b.token()
	})
}

func TestARecordThatThisJournalHasNeverSeenIsQuarantinedUntilAPersonConfirmsIt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.disk = crashfs.New(2) // the store was copied here, the state directory wasn't
		b.restart()
		b.state(tokens.Quarantined, "")
		b.token()
		if _, err := b.Refresh(b.t.Context(), acme); code(err) != tokens.CodeConflict {
			t.Errorf("a person's refresh: %v", err)
		}
		wait(3 * time.Hour) // the access token is dead
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		wait(28 * 24 * time.Hour)
		b.restart()
		b.state(tokens.Quarantined, "")
		b.expect(1)
		if err := b.Confirm(b.t.Context(), acme, false); err != nil {
			b.t.Fatal(err)
		}
		b.state(tokens.Ready, "")
		b.token()
		b.restart() // seen by now
		b.state(tokens.Ready, "")
		b.expect(2)
	})
}

func TestARecordThatThisJournalHasSeenIsNotQuarantined(t *testing.T) {
	enrolled(t, func(b *bench) {
		for range 3 {
			b.restart()
			b.state(tokens.Ready, "")
		}
		b.token()
	})
}

// journalFile is the newest file of the journal.
func (b *bench) journalFile() string {
	b.t.Helper()
	newest := ""
	for _, name := range b.disk.Names() {
		if strings.HasPrefix(name, "/state/journal/journal.") {
			newest = name
		}
	}
	if newest == "" {
		b.t.Fatalf("no journal among %v", b.disk.Names())
	}
	return newest
}

func TestADamagedJournalStillServesLivingTokensAndBeginsNoExchange(t *testing.T) {
	for name, damage := range map[string]func([]byte){
		"one flipped bit": func(file []byte) { file[len(file)/2] ^= 1 },
		"only the last line is left": func(file []byte) {
			for i := 256; i < bytes.LastIndex(file, []byte("\xffSPJ")); i += 16 {
				file[i] ^= 1
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.token()
				asked := b.sf.Questions()
				b.stop()
				b.disk.Corrupt(b.journalFile(), func(file []byte) []byte {
					damage(file)
					return file
				})
				b.store.Restart()
				b.start()
				b.token()
				if _, err := b.Refresh(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
					t.Errorf("a person's refresh: %v", err)
				}
				b.state(tokens.Ready, "")
				wait(119 * time.Minute)
				b.token()
				wait(2 * time.Hour)
				if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
					t.Errorf("once it is dead callers are told %v", err)
				}
				b.expect(1)
				if q := b.sf.Questions(); q != asked {
					t.Errorf("asked %d times about a token that can't be exchanged", q-asked)
				}
			})
		})
	}
}

// oneBad is a store of which one record can't be read.
type oneBad struct{ *tokenstest.Mem }

func (s oneBad) All(ctx context.Context) iter.Seq2[tokens.Record, error] {
	return func(yield func(tokens.Record, error) bool) {
		if yield(tokens.Record{}, tokens.ErrSchema) {
			s.Mem.All(ctx)(yield)
		}
	}
}

func TestARecordThatCannotBeReadDoesNotStopTheOtherOrgs(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.with(func(o *tokens.Options) { o.Store = oneBad{b.store} })
		b.token()
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

// secrets counts the bytes of tokens that the store and the journal keep of acme.
func (b *bench) secrets() (store, journal int) {
	b.t.Helper()
	r, err := b.store.Load(b.t.Context(), acme)
	if err != nil {
		b.t.Fatal(err)
	}
	count := func(r tokens.Record) int {
		n := len(r.Refresh) + len(r.Access)
		for _, o := range r.Orphans {
			n += len(o.Refresh)
		}
		return n
	}
	for e, err := range b.journal.Entries() {
		if err != nil {
			b.t.Error(err)
		}
		journal += len(e.Answer) + count(e.Record)
	}
	return count(r), journal
}

func TestAForgetThatWasCutShortIsFinishedAtTheNextStart(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.store.SetHooks(nil, func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if op == tokenstest.OpSave {
				b.disk.Fail(func(crashfs.Op, string) error { return syscall.EIO })
			}
			return nil
		})
		if err := b.Forget(b.t.Context(), acme); err == nil {
			b.t.Fatal("the person is told that it is done")
		}
		if _, journal := b.secrets(); journal == 0 {
			b.t.Fatal("it was not cut short")
		}
		b.crash()
		if store, journal := b.secrets(); store+journal != 0 {
			t.Errorf("%d bytes of secrets in the store and %d in the journal", store, journal)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
	})
}

func TestALateAnswerOfAForgottenGrantLeavesNoSecret(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		release := b.sf.Hold()
		go func() { _, _ = b.Refresh(context.Background(), acme) }()
		wait(time.Second) // it is under way
		b.store.Expire(acme)
		if err := b.Forget(b.t.Context(), acme); err != nil {
			b.t.Fatal(err)
		}
		release()
		wait(time.Minute)
		b.expect(2)
		if store, _ := b.secrets(); store != 0 {
			t.Errorf("%d bytes of secrets in the store", store)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonRevoked)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeReauthRequired {
			t.Errorf("callers are told %v", err)
		}
		b.restart()
		if store, journal := b.secrets(); store+journal != 0 {
			t.Errorf("after a restart %d bytes of secrets in the store and %d in the journal", store, journal)
		}
	})
}
