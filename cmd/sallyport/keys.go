package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy"
)

// metaStore is where a store keeps what is made once for a deployment.
type metaStore interface {
	Meta(ctx context.Context, key string) ([]byte, error)
	MetaOnce(ctx context.Context, key string, value []byte) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
}

// The names under which the store keeps what is made once.
const (
	metaCanary      = "canary"
	metaDeployment  = "deployment"
	metaFingerprint = "fingerprint_key"
	metaCA          = "ca"
)

func randomToken() string { return rand.Text() + rand.Text() }

// readKeyset returns the keyset in clear: of the configured place, or of the
// state directory, where it is made at the first start.
func readKeyset(k config.Keyset, d stateDir, storeIsNew bool) (b []byte, err error) {
	switch {
	case k.Variable != "":
		return []byte(k.Inline.Reveal()), nil
	case k.Path != "":
		b, err = readPrivate(k.Path)
		if err != nil {
			return nil, misconfigured("SALLYPORT_KEYSET: %w", err)
		}
		return b, nil
	}
	b, err = d.read("keyset.json")
	if errors.Is(err, fs.ErrNotExist) {
		if !storeIsNew {
			return nil, misconfigured("%s is gone, and the store holds secrets that only it opens: restore the file, or set SALLYPORT_KEYSET", d.path("keyset.json"))
		}
		if b, err = secret.NewKeyset(); err == nil {
			err = writePrivate(d.path("keyset.json"), b)
		}
		return b, err
	}
	return b, err
}

// checkCanary opens the store's sealed canary, which is made at the first
// start. A keyset that doesn't open it would seal what nobody opens later.
func checkCanary(ctx context.Context, store metaStore, keys *secret.Keyring) error {
	sealed, err := keys.Seal([]byte("canary"), "", metaCanary)
	if err != nil {
		return err
	}
	kept, err := store.MetaOnce(ctx, metaCanary, sealed)
	if err != nil {
		return err
	}
	if _, err := keys.Open(kept, "", metaCanary); err != nil {
		return misconfigured("SALLYPORT_KEYSET: this keyset doesn't open what the store holds: %w", err)
	}
	return nil
}

// caPairs is the interception CA as the store keeps it: the pair in use, and
// during a rotation the next one.
type caPairs struct {
	Current proxy.AuthorityPEM  `json:"current"`
	Next    *proxy.AuthorityPEM `json:"next,omitempty"`
}

// authority keeps the interception CA and rotates it.
type authority struct {
	state   stateDir // keeps a sealed copy, for a store that lost its own
	store   metaStore
	keys    *secret.Keyring
	domains []string
	brought *proxy.Authority // the operator's own, which isn't rotated here
	use     func(*proxy.Authority)

	mu   sync.Mutex
	last []byte // guarded by mu: what the store was last seen to keep, sealed; set by load
}

func caDomains(c config.Config) []string {
	if len(c.CADomains) > 0 {
		return c.CADomains
	}
	return registry.SalesforceSuffixes()
}

func (a *authority) load(ctx context.Context) (current, next *proxy.Authority, err error) {
	if a.brought != nil {
		return a.brought, nil, nil
	}
	b, err := a.sealed(ctx)
	if err == nil {
		b, err = a.keys.Open(b, "", metaCA)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the interception CA: %w", err)
	}
	var p caPairs
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, nil, fmt.Errorf("the interception CA: %w", err)
	}
	if current, err = proxy.ParseAuthority(p.Current); err != nil || p.Next == nil {
		return current, nil, err
	}
	next, err = proxy.ParseAuthority(*p.Next)
	return current, next, err
}

// caCopy is the copy's name in the state directory.
const caCopy = "ca.sealed"

// sealed is the CA as the store keeps it, given to it again by this state
// directory where the store lost it, and made where nobody has one.
func (a *authority) sealed(ctx context.Context) ([]byte, error) {
	kept, err := a.store.Meta(ctx, metaCA)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		mine, err := a.state.read(caCopy)
		if errors.Is(err, fs.ErrNotExist) {
			mine, err = a.freshSealed()
		}
		if err != nil {
			return nil, err
		}
		if kept, err = a.store.MetaOnce(ctx, metaCA, mine); err != nil {
			return nil, err
		}
	}
	return kept, a.saw(kept)
}

func (a *authority) freshSealed() ([]byte, error) {
	p, err := a.fresh()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(caPairs{Current: p})
	if err != nil {
		return nil, err
	}
	return a.keys.Seal(b, "", metaCA)
}

// keep gives the store the CA again if it lost it, and takes over the pair that
// another replica put into use.
func (a *authority) keep(ctx context.Context) error {
	if a.brought != nil {
		return nil
	}
	kept, err := a.store.Meta(ctx, metaCA)
	if err != nil {
		return err
	}
	a.mu.Lock()
	last := a.last
	a.mu.Unlock()
	switch {
	case kept == nil:
		_, err := a.store.MetaOnce(ctx, metaCA, last)
		return err
	case bytes.Equal(kept, last):
		return nil
	}
	current, _, err := a.load(ctx)
	if err != nil {
		return err
	}
	a.use(current)
	return nil
}

// saw notes what the store keeps, here and in the state directory.
func (a *authority) saw(sealed []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes.Equal(sealed, a.last) {
		return nil
	}
	if err := writePrivate(a.state.path(caCopy), sealed); err != nil {
		return err
	}
	a.last = sealed
	return nil
}

func (a *authority) fresh() (proxy.AuthorityPEM, error) {
	n, err := proxy.NewAuthority(a.domains, time.Now())
	if err != nil {
		return proxy.AuthorityPEM{}, err
	}
	return n.Marshal()
}

// Export returns the roots that clients must trust, during a rotation both.
func (a *authority) Export(ctx context.Context) ([]byte, error) {
	current, next, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	if next == nil {
		return proxy.Export(current), nil
	}
	return proxy.Export(current, next), nil
}

// Rotate makes the next pair, or switches to it.
func (a *authority) Rotate(ctx context.Context, activate bool) error {
	if a.brought != nil {
		return &admin.ConflictError{What: "the CA is your own (SALLYPORT_CA_CERT): put the new files in place and restart"}
	}
	current, next, err := a.load(ctx)
	if err != nil {
		return err
	}
	p := caPairs{}
	switch {
	case activate && next == nil:
		return &admin.ConflictError{What: "there is no next CA: run sallyport ca rotate first, and give its roots to the clients"}
	case activate:
		if p.Current, err = next.Marshal(); err != nil {
			return err
		}
	case next != nil:
		return &admin.ConflictError{What: "a rotation is under way: run sallyport ca rotate --activate once every client trusts both roots"}
	default:
		if p.Current, err = current.Marshal(); err != nil {
			return err
		}
		n, err := a.fresh()
		if err != nil {
			return err
		}
		p.Next = &n
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sealed, err := a.keys.Seal(b, "", metaCA)
	if err != nil {
		return err
	}
	if err := a.store.SetMeta(ctx, metaCA, sealed); err != nil {
		return err
	}
	if err := a.saw(sealed); err != nil {
		return err
	}
	if activate {
		a.use(next)
	}
	return nil
}

// bringAuthority reads the operator's own CA, nil where there is none.
func bringAuthority(c config.Config) (*proxy.Authority, error) {
	if c.CACert == "" {
		return nil, nil
	}
	certs, err := os.ReadFile(c.CACert)
	if err != nil {
		return nil, misconfigured("SALLYPORT_CA_CERT: %w", err)
	}
	key, err := readPrivate(c.CAKey)
	if err != nil {
		return nil, misconfigured("SALLYPORT_CA_KEY: %w", err)
	}
	a, err := proxy.BringAuthority(certs, key)
	if err != nil {
		return nil, misconfigured("SALLYPORT_CA_CERT: %w", err)
	}
	return a, nil
}
