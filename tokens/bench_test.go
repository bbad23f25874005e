package tokens_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// BenchmarkHotPathToken measures what a request with a live token asks of the broker: the look-up, and the word that
// the call succeeded.
func BenchmarkHotPathToken(b *testing.B) {
	json, err := secret.NewKeyset()
	if err != nil {
		b.Fatal(err)
	}
	keys, err := secret.ParseKeyring(json)
	if err != nil {
		b.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Dir: "/state/journal", Sealer: keys, FS: crashfs.New(1)})
	if err != nil {
		b.Fatal(err)
	}
	sf, store := tokenstest.NewForce(), tokenstest.NewMem(tokenstest.MemOptions{Exclusive: true})
	broker, err := tokens.NewBroker(tokens.Options{
		Store: store, Claims: store, Journal: j, Exchanger: sf, Sealer: keys, Fingerprint: hashes{},
		Directory: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}},
		History:   store, Replica: "r1", Deployment: "d1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := broker.Drain(ctx); err != nil {
			b.Error(err)
		}
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	ctx := b.Context()
	if err := broker.Recover(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := broker.Import(ctx, acme, secret.NewText(sf.Authorise(acme))); err != nil {
		b.Fatal(err)
	}
	if _, err := broker.Token(ctx, acme); err != nil { // The one exchange.
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		t, err := broker.Token(ctx, acme)
		if err != nil {
			b.Fatal(err)
		}
		broker.Used(acme, t)
	}
}
