package access_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
)

// slowly verifies as the registry does, but that a slow hash takes 100 ms, and is of the secret "pass-chosen" if it is of
// any: bcrypt itself would take minutes of a race detector's time.
func slowly(r *registry.Registry) func(hash string, s secret.Text) bool {
	return func(hash string, s secret.Text) bool {
		if registry.IsFastHash(hash) {
			return registry.VerifySecret(hash, s)
		}
		<-time.After(100 * time.Millisecond)
		return hash == r.Snapshot().Client("chosen").SecretHashes[0] && s.Reveal() == "pass-chosen"
	}
}

// flooded has a registry with clients of both kinds of secrets.
func flooded(t *testing.T) (r *registry.Registry, made secret.Text) {
	t.Helper()
	r = newRegistry(t, world(client("billing", "pass-billing"), client("chosen", "pass-chosen"), client("made", "")))
	made, err := r.AddClientSecret(t.Context(), "made")
	if err != nil {
		t.Fatal(err)
	}
	return r, made
}

func TestAFloodOfWrongSecretsQueuesBehindItself(t *testing.T) {
	r, made := flooded(t)
	for _, tt := range []struct {
		name  string
		flood func(n int) access.Credentials
	}{
		{"at one name", func(n int) access.Credentials { return creds("billing", fmt.Sprint(n)) }},
		{"at many names", func(n int) access.Credentials { return creds(fmt.Sprint("nobody-", n), "x") }},
		{"at the same name as the caller", func(n int) access.Credentials { return creds("chosen", fmt.Sprint(n)) }},
	} {
		for _, turns := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d turns", tt.name, turns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					i := newIdentifier(t, access.IdentifyOptions{Concurrent: turns, Verify: slowly(r)})
					var wg sync.WaitGroup
					for n := range 64 {
						wg.Go(func() {
							_, err := i.Identify(t.Context(), r.Snapshot(), tt.flood(n), access.Caller{Peer: fmt.Sprintf("192.0.2.1:%d", 1000+n)})
							if c := code(err); c != access.ProxyAuthRequired && c != access.Overloaded {
								t.Errorf("a wrong guess: %v", err)
							}
						})
					}
					synctest.Wait()
					in := func(c access.Credentials, peer string, within time.Duration) {
						t.Helper()
						start := time.Now()
						_, err := i.Identify(t.Context(), r.Snapshot(), c, access.Caller{Peer: peer})
						if took := time.Since(start); err != nil || took > within {
							t.Errorf("%s got in after %v: %v", c.Name, took, err)
						}
					}
					in(access.Credentials{Name: "made", Secret: made}, "192.0.2.1:1", 0)
					in(access.Credentials{Name: "made", Secret: made}, "192.0.2.2:1", 0)
					in(creds("chosen", "pass-chosen"), "192.0.2.2:2", 300*time.Millisecond) // The guess under way, and its own.
					in(creds("chosen", "pass-chosen"), "192.0.2.2:2", 0)                    // Remembered.
					wg.Wait()
				})
			})
		}
	}
}

func TestNamesOfOneAddressTakeTurns(t *testing.T) {
	r, _ := flooded(t)
	synctest.Test(t, func(t *testing.T) {
		i := newIdentifier(t, access.IdentifyOptions{Concurrent: 1, Verify: slowly(r)})
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				_, _ = i.Identify(t.Context(), r.Snapshot(), creds("billing", fmt.Sprint(n)), access.Caller{Peer: "[2001:db8::1]:1"})
			})
		}
		synctest.Wait()
		start := time.Now()
		// Another address of the same network is the same source.
		_, err := i.Identify(t.Context(), r.Snapshot(), creds("chosen", "pass-chosen"), access.Caller{Peer: "[2001:db8::2]:1"})
		if took := time.Since(start); err != nil || took < 300*time.Millisecond || took > 600*time.Millisecond {
			t.Errorf("got in after %v: %v", took, err)
		}
		wg.Wait()
	})
}

func TestASourceThatGuessedWrongLeavesTurnsToOthers(t *testing.T) {
	r, _ := flooded(t)
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		i := newIdentifier(t, access.IdentifyOptions{Concurrent: 4, Verify: func(hash string, s secret.Text) bool {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return slowly(r)(hash, s)
		}})
		guess := func(n, from int) {
			_, _ = i.Identify(t.Context(), r.Snapshot(), creds("billing", fmt.Sprint(n)), access.Caller{Peer: fmt.Sprintf("192.0.2.%d:1", from)})
		}
		for from := range 4 {
			guess(0, from)
		}
		most.Store(0)
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() { guess(n, n%4) })
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d of 4 turns were theirs", most.Load())
		}
		<-time.After(2 * time.Minute)
		most.Store(0)
		for n := range 4 {
			wg.Go(func() { guess(n, 1) })
		}
		wg.Wait()
		if most.Load() != 4 {
			t.Errorf("after a while, %d of 4 turns were theirs", most.Load())
		}
	})
}

func TestAWrongGuessCostsTheSameForEveryName(t *testing.T) {
	both := client("both", "pass-both")
	disabled := client("old", "pass-old")
	disabled.Disabled = true
	r := newRegistry(t, world(client("chosen", "pass-chosen"), client("made", ""), client("two", ""), client("none", ""), both, disabled))
	for _, name := range []string{"made", "both", "two", "two", "old"} {
		if _, err := r.AddClientSecret(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	var slow, fast atomic.Int32
	i := newIdentifier(t, access.IdentifyOptions{Verify: func(hash string, s secret.Text) bool {
		if registry.IsFastHash(hash) {
			fast.Add(1)
		} else {
			slow.Add(1)
		}
		return false
	}})
	generated := registry.GenerateSecret().Reveal()
	for _, tt := range []struct {
		name, secret string
		slow, fast   int32
	}{
		{"a generated secret", generated, 0, 2},
		{"a chosen secret", "wrong", 2, 0},
		{"what only begins like a generated secret", "sp1_wrong", 2, 0},
		{"a generated secret with a letter changed", generated[:8] + string(generated[8]^1) + generated[9:], 2, 0},
	} {
		for _, name := range []string{"chosen", "made", "two", "both", "none", "old", "nobody"} {
			slow.Store(0)
			fast.Store(0)
			_, err := i.Identify(t.Context(), r.Snapshot(), creds(name, tt.secret), access.Caller{})
			if code(err) != access.ProxyAuthRequired || slow.Load() != tt.slow || fast.Load() != tt.fast {
				t.Errorf("%s for %s: %v, %d slow and %d fast hashes", tt.name, name, err, slow.Load(), fast.Load())
			}
		}
	}
}
