package access_test

import (
	"context"
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
)

func TestParseBasic(t *testing.T) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name, value string
		want        access.Credentials
		ok          bool
	}{
		{"a name and a secret", basic("billing:s:3"), access.Credentials{Name: "billing", Secret: secret.NewText("s:3")}, true},
		{"an org behind a plus", basic("billing+acme:x"), access.Credentials{Name: "billing", Org: "acme", Secret: secret.NewText("x")}, true},
		{"a scheme in another case", "bAsIc  " + basic("a:b")[6:], access.Credentials{Name: "a", Secret: secret.NewText("b")}, true},
		{"nothing", "", access.Credentials{}, false},
		{"no colon", basic("billing"), access.Credentials{}, false},
		{"no base64", "Basic ???", access.Credentials{}, false},
		{"another scheme", "Bearer abc", access.Credentials{}, false},
	} {
		if got, ok := access.ParseBasic(tt.value); ok != tt.ok || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

func newIdentifier(t *testing.T, o access.IdentifyOptions) *access.Identifier {
	t.Helper()
	i, err := access.NewIdentifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func code(err error) access.Code {
	var r *access.RefusalError
	errors.As(err, &r)
	if r == nil {
		return ""
	}
	return r.Code
}

func creds(name, pass string) access.Credentials {
	return access.Credentials{Name: name, Secret: secret.NewText(pass)}
}

func TestIdentify(t *testing.T) {
	disabled := client("old", "pass-old")
	disabled.Disabled = true
	r := newRegistry(t, world(client("billing", "pass-billing", "acme"), disabled))
	var verified atomic.Int32
	i := newIdentifier(t, access.IdentifyOptions{Verify: func(hash string, s secret.Text) bool {
		verified.Add(1)
		return registry.VerifySecret(hash, s)
	}})
	for _, tt := range []struct {
		name  string
		creds access.Credentials
		code  access.Code
		slow  int32
	}{
		{"the right secret", creds("billing", "pass-billing"), "", 1},
		{"the right secret again", creds("billing", "pass-billing"), "", 0},
		{"a wrong secret", creds("billing", "wrong"), access.ProxyAuthRequired, 2},
		{"an unknown name costs the same", creds("nobody", "wrong"), access.ProxyAuthRequired, 2},
		{"a disabled client costs the same", creds("old", "pass-old"), access.ProxyAuthRequired, 2},
		{"no credentials", access.Credentials{}, access.ProxyAuthRequired, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verified.Store(0)
			id, err := i.Identify(t.Context(), r.Snapshot(), tt.creds, access.Caller{Local: true})
			if code(err) != tt.code || (err == nil && id.Name != tt.creds.Name) || verified.Load() != tt.slow {
				t.Errorf("%+v, %v, %d slow hashes", id, err, verified.Load())
			}
			if err == nil && !i.Stands(r.Snapshot(), id) {
				t.Error("the identity doesn't stand")
			}
		})
	}
}

func TestAnIdentityFallsWithItsSecret(t *testing.T) {
	r := newRegistry(t, world(client("billing", "one")))
	i := newIdentifier(t, access.IdentifyOptions{})
	id, err := i.Identify(t.Context(), r.Snapshot(), creds("billing", "one"), access.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, r, world(client("billing", "two")))
	if !i.Stands(r.Snapshot(), id) {
		t.Error("the old secret fell while two are valid")
	}
	apply(t, r, world(client("billing", "three")))
	if i.Stands(r.Snapshot(), id) {
		t.Error("a secret stands that is no longer valid")
	}
	if _, err := i.Identify(t.Context(), r.Snapshot(), creds("billing", "one"), access.Caller{}); code(err) != access.ProxyAuthRequired {
		t.Errorf("a secret is remembered that is no longer valid: %v", err)
	}
}

func TestLocalCallers(t *testing.T) {
	none, some := newRegistry(t, world()), newRegistry(t, world(client("billing", "")))
	for _, tt := range []struct {
		name  string
		mode  access.LocalCallers
		r     *registry.Registry
		local bool
		open  bool
	}{
		{"open while there never was a client", access.LocalAuto, none, true, true},
		{"closed from the first client on", access.LocalAuto, some, true, false},
		{"never open on another listener", access.LocalAuto, none, false, false},
		{"open by order", access.LocalOpen, some, true, true},
		{"never open on another listener by order", access.LocalOpen, some, false, false},
		{"closed by order", access.LocalClosed, none, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := newIdentifier(t, access.IdentifyOptions{Local: tt.mode}).
				Identify(t.Context(), tt.r.Snapshot(), access.Credentials{}, access.Caller{Local: tt.local})
			if (err == nil) != tt.open || id.Local != tt.open {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestVerificationsAreBounded(t *testing.T) {
	r := newRegistry(t, world(client("billing", "right")))
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		release := make(chan struct{})
		i := newIdentifier(t, access.IdentifyOptions{Concurrent: 2, Wait: time.Second, Verify: func(string, secret.Text) bool {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return false
		}})
		var wg sync.WaitGroup
		codes := make([]access.Code, 5)
		for n := range codes {
			wg.Go(func() {
				_, err := i.Identify(t.Context(), r.Snapshot(), creds("billing", string(rune('a'+n))), access.Caller{})
				codes[n] = code(err)
			})
		}
		time.AfterFunc(2*time.Second, func() { close(release) })
		wg.Wait()
		count := map[access.Code]int{}
		for _, c := range codes {
			count[c]++
		}
		if most.Load() != 2 || count[access.Overloaded] != 3 || count[access.ProxyAuthRequired] != 2 {
			t.Errorf("at most %d at a time, %v", most.Load(), count)
		}
	})
}

func TestCallersWithTheSameSecretShareATurn(t *testing.T) {
	r := newRegistry(t, world(client("billing", "right")))
	synctest.Test(t, func(t *testing.T) {
		var verified atomic.Int32
		i := newIdentifier(t, access.IdentifyOptions{Verify: func(string, secret.Text) bool {
			verified.Add(1)
			<-time.After(time.Second)
			return true
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := i.Identify(t.Context(), r.Snapshot(), creds("billing", "right"), access.Caller{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if _, err := i.Identify(ctx, r.Snapshot(), creds("billing", "right"), access.Caller{}); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that went away got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if verified.Load() != 1 {
			t.Errorf("%d slow hashes", verified.Load())
		}
	})
}
