package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// LocalCallers says whether a caller on a loopback or Unix-socket listener needs credentials.
type LocalCallers string

// The values of [LocalCallers].
const (
	LocalAuto   LocalCallers = ""       // Open until the first client is ever made.
	LocalOpen   LocalCallers = "open"   // A local caller without credentials may use every org.
	LocalClosed LocalCallers = "closed" // Everyone shows credentials.
)

// maxHashes is how many secrets of a client are valid at a time. A wrong guess always costs as many comparisons.
const maxHashes = 2

// dummyHash makes, once a process, the hash of a secret that nobody knows.
var dummyHash = sync.OnceValues(func() (string, error) { return registry.HashSecret(secret.NewText(rand.Text())) })

type digest = [sha256.Size]byte

// Identity is who is calling. The zero Identity is nobody.
type Identity struct {
	// Name is the client's name; empty for a local caller.
	Name string
	// Local says that a local caller showed no credentials and needed none.
	Local bool
	// hash is the one that the secret was verified against.
	hash string
}

// Label is the identity's name in logs and spans.
func (i Identity) Label() string {
	if i.Local {
		return "(local)"
	}
	return i.Name
}

// IdentifyOptions configure [NewIdentifier]. The zero value works.
type IdentifyOptions struct {
	Local LocalCallers
	// Verify reports whether a hash was made of a secret, slowly. [registry.VerifySecret] when nil.
	Verify func(hash string, s secret.Text) bool
	// Concurrent is how many slow hashes are computed at a time: one a CPU when zero.
	Concurrent int
	// Wait is how long a caller waits for its turn before it is refused as overloaded: 5 s when zero.
	Wait time.Duration
	// Remembered is how many verified secrets are kept: 4096 when zero.
	Remembered int
}

// Identifier tells callers by their credentials. A slow hash is computed once for a name and secret; then a keyed
// digest of both stands for it, until the registry no longer has that hash. It is safe for concurrent use.
type Identifier struct {
	opts   IdentifyOptions
	key    [32]byte // Of this process: what is remembered is of no use elsewhere.
	dummy  string   // The hash of a secret that nobody knows.
	turns  chan struct{}
	known  *lru.Cache[digest, string]
	flight singleflight.Group
}

// NewIdentifier checks o and makes a dummy hash, which takes as long as verifying one.
func NewIdentifier(o IdentifyOptions) (*Identifier, error) {
	switch o.Local {
	case LocalAuto, LocalOpen, LocalClosed:
	default:
		return nil, fmt.Errorf("local callers can be open or closed, not %q", o.Local)
	}
	if o.Concurrent < 0 || o.Wait < 0 || o.Remembered < 0 {
		return nil, errors.New("limits of identification must not be negative")
	}
	if o.Verify == nil {
		o.Verify = registry.VerifySecret
	}
	if o.Concurrent == 0 {
		o.Concurrent = runtime.GOMAXPROCS(0)
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Remembered == 0 {
		o.Remembered = 4096
	}
	i := &Identifier{opts: o, turns: make(chan struct{}, o.Concurrent)}
	rand.Read(i.key[:]) // Never fails (crypto/rand, Go 1.24).
	var err error
	if i.dummy, err = dummyHash(); err != nil {
		return nil, err
	}
	if i.known, err = lru.New[digest, string](o.Remembered); err != nil {
		return nil, err
	}
	return i, nil
}

// Open reports whether local callers need no credentials now.
func (i *Identifier) Open(s *registry.Snapshot) bool {
	return i.opts.Local == LocalOpen || i.opts.Local == LocalAuto && !s.ClientsEverMade()
}

// Identify tells who shows c on a connection that is local or not. It fails with a [RefusalError]: [ProxyAuthRequired] for
// missing or wrong credentials, a client that doesn't exist or is disabled, all alike and in the same time; or
// [Overloaded] when too many secrets are being verified. It fails with ctx's error when that ends first.
func (i *Identifier) Identify(ctx context.Context, s *registry.Snapshot, c Credentials, local bool) (Identity, error) {
	if !c.Given() {
		if local && i.Open(s) {
			return Identity{Local: true}, nil
		}
		return Identity{}, refuse(ProxyAuthRequired, "this proxy needs a client's name and secret: "+
			"set HTTPS_PROXY=http://CLIENT:SECRET@HOST:PORT")
	}
	var hashes []string
	if client := s.Client(c.Name); client != nil && !client.Disabled {
		hashes = client.SecretHashes
	}
	sum := i.digest(c)
	if hash, ok := i.known.Get(sum); ok && slices.Contains(hashes, hash) {
		return Identity{Name: c.Name, hash: hash}, nil
	}
	hash, err := i.verify(ctx, sum, hashes, c.Secret)
	if err != nil {
		return Identity{}, err
	}
	if hash == "" {
		return Identity{}, refuse(ProxyAuthRequired, "the client's name or secret is wrong, or the client is disabled: "+
			"`sallyport client secret NAME` makes a new secret")
	}
	return Identity{Name: c.Name, hash: hash}, nil
}

// digest stands for a name and secret. The name's length comes first, so that no two pairs run together.
func (i *Identifier) digest(c Credentials) (d digest) {
	mac := hmac.New(sha256.New, i.key[:])
	fmt.Fprintf(mac, "%d:%s%s", len(c.Name), c.Name, c.Secret.Reveal())
	mac.Sum(d[:0])
	return d
}

// verify returns the hash that was made of s, empty if none was. Callers with the same credentials share one turn.
func (i *Identifier) verify(ctx context.Context, sum digest, hashes []string, s secret.Text) (string, error) {
	done := i.flight.DoChan(string(sum[:])+fmt.Sprint(hashes), func() (any, error) {
		turn := time.NewTimer(i.opts.Wait)
		defer turn.Stop()
		select {
		case i.turns <- struct{}{}:
		case <-turn.C:
			return "", &RefusalError{Code: Overloaded, RetryAfter: time.Second,
				Message: "too many callers are proving their identity at once: try again"}
		}
		defer func() { <-i.turns }()
		hash := i.match(hashes, s)
		if hash != "" {
			i.known.Add(sum, hash)
		}
		return hash, nil
	})
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-done:
		hash, _ := r.Val.(string)
		return hash, r.Err
	}
}

// match compares s with maxHashes hashes, the newest first, dummies where the client has fewer, so that a wrong guess
// takes the same time for every name.
func (i *Identifier) match(hashes []string, s secret.Text) string {
	for n := range max(maxHashes, len(hashes)) {
		hash, own := i.dummy, n < len(hashes)
		if own {
			hash = hashes[len(hashes)-1-n]
		}
		if i.opts.Verify(hash, s) && own {
			return hash
		}
	}
	return ""
}

// Stands reports whether id would be told the same way from s: the client exists, is enabled and has the secret's
// hash; for a local caller, local callers need no credentials.
func (i *Identifier) Stands(s *registry.Snapshot, id Identity) bool {
	if id.Local {
		return i.Open(s)
	}
	c := s.Client(id.Name)
	return c != nil && !c.Disabled && slices.Contains(c.SecretHashes, id.hash)
}
