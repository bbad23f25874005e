package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
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

// dummies makes, once a process, a slow and a fast hash of secrets that nobody knows.
var dummies = sync.OnceValues(func() (d [2]string, err error) {
	var slow, fast error
	d[0], slow = registry.HashSecret(secret.NewText(rand.Text()))
	d[1], fast = registry.HashSecret(registry.GenerateSecret())
	return d, errors.Join(slow, fast)
})

type digest = [sha256.Size]byte

// Identity is who is calling. The zero Identity is nobody.
type Identity struct {
	// Name is the client's name; empty for a local caller.
	Name string
	// Local says that a local caller showed no credentials and needed none.
	Local bool
	// hash is the one that the secret was verified against; empty for a caller with a certificate.
	hash string
	// certificate is what proved the name in the place of a secret; nil usually.
	certificate *shown
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
	// Verify reports whether a hash was made of a secret. [registry.VerifySecret] when nil.
	Verify func(hash string, s secret.Text) bool
	// Concurrent is how many slow hashes are computed at a time: one a CPU when zero.
	Concurrent int
	// Wait is how long a caller waits for its turn, behind others of its source, before it is refused as overloaded: 5 s when zero.
	Wait time.Duration
	// Remembered is how many verified secrets are kept: 4096 when zero.
	Remembered int
}

// Caller is what is known of a connection.
type Caller struct {
	// Local says that it came in on a loopback address or a Unix socket.
	Local bool
	// Peer is its remote address with the port, as net/http has it.
	Peer string
	// Chain is the certificate that the caller proved to hold, and its issuers, as the listener has verified them; empty
	// when it showed none.
	Chain []*x509.Certificate
}

// Identifier tells callers by their credentials. It is safe for concurrent use.
//
// What a caller presents decides how it is verified, nothing that is kept does, so that neither time nor load tells
// which names exist or what kind of secret a client has. A secret of the form that sallyport generates is held against
// fast hashes only, which takes microseconds and waits for nobody. Any other is held against slow hashes only, in turns;
// once it is proven, a keyed digest of name and secret stands for it and it waits no more, until the registry no longer
// has that hash. Where a client has fewer hashes of a kind than it may have, or there is no client, dummies take their
// place.
type Identifier struct {
	opts       IdentifyOptions
	key        [32]byte // Of this process: what is remembered is of no use elsewhere.
	slow, fast string   // Hashes of secrets that nobody knows.
	turns      *turns
	known      *lru.Cache[digest, string]
	flight     singleflight.Group
}

// NewIdentifier checks o and makes dummy hashes, which takes as long as verifying them.
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
	i := &Identifier{opts: o}
	rand.Read(i.key[:]) // Never fails (crypto/rand, Go 1.24).
	made, err := dummies()
	if err != nil {
		return nil, err
	}
	i.slow, i.fast = made[0], made[1]
	if i.turns, err = newTurns(o.Concurrent); err != nil {
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

// Identify tells who shows c on the connection that from describes. A certificate that is a client's goes first
// ([Identifier.ByCertificate]); the name in c must then be the same. It fails with a [RefusalError]: [ProxyAuthRequired]
// for a certificate and a name that differ, for missing or wrong credentials, a client that doesn't exist or is
// disabled, the latter all alike and at the same cost; or [Overloaded] when too many secrets of the caller's source are
// being verified. It fails with ctx's error when that ends first.
func (i *Identifier) Identify(ctx context.Context, s *registry.Snapshot, c Credentials, from Caller) (Identity, error) {
	if id, found, err := i.identifyByCertificate(s, c, from); found || err != nil {
		return id, err
	}
	if !c.Given() {
		if from.Local && i.Open(s) {
			return Identity{Local: true}, nil
		}
		return Identity{}, refuse(ProxyAuthRequired, "this proxy needs a client's name and secret: "+
			"set HTTPS_PROXY=http://CLIENT:SECRET@HOST:PORT")
	}
	var hashes []string
	if client := s.Client(c.Name); client != nil && !client.Disabled {
		hashes = client.SecretHashes
	}
	hash, err := i.prove(ctx, c, hashes, from)
	if err != nil {
		return Identity{}, err
	}
	if hash == "" {
		return Identity{}, refuse(ProxyAuthRequired, "the client's name or secret is wrong, or the client is disabled: "+
			"`sallyport client secret NAME` makes a new secret")
	}
	return Identity{Name: c.Name, hash: hash}, nil
}

// prove returns the one of a client's hashes that was made of the secret in c, empty if none was.
func (i *Identifier) prove(ctx context.Context, c Credentials, hashes []string, from Caller) (string, error) {
	if registry.IsGenerated(c.Secret) {
		return i.match(hashes, true, c.Secret), nil
	}
	sum := i.digest(c)
	if hash, ok := i.known.Get(sum); ok && slices.Contains(hashes, hash) {
		return hash, nil
	}
	return i.verify(ctx, sum, hashes, c, sourceOf(from.Peer))
}

// digest stands for a name and secret. The name's length comes first, so that no two pairs run together.
func (i *Identifier) digest(c Credentials) (d digest) {
	mac := hmac.New(sha256.New, i.key[:])
	fmt.Fprintf(mac, "%d:%s%s", len(c.Name), c.Name, c.Secret.Reveal())
	mac.Sum(d[:0])
	return d
}

// verify returns the slow hash that was made of c's secret, empty if none was. Callers from the same source with the
// same credentials share one turn.
func (i *Identifier) verify(ctx context.Context, sum digest, hashes []string, c Credentials, source string) (string, error) {
	done := i.flight.DoChan(string(sum[:])+source+fmt.Sprint(hashes), func() (any, error) {
		turn := i.turns.take(source, c.Name, i.opts.Wait)
		if turn == nil {
			return "", &RefusalError{Code: Overloaded, RetryAfter: time.Second,
				Message: "too many callers from this address are proving their identity at once: try again"}
		}
		hash := ""
		defer func() { i.turns.give(turn, hash == "") }()
		if hash = i.match(hashes, false, c.Secret); hash != "" {
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

// match compares s with the hashes of one kind, the newest first, and with dummies up to maxHashes of them, so that a
// wrong guess costs the same for every name.
func (i *Identifier) match(hashes []string, fast bool, s secret.Text) string {
	n := 0
	for _, hash := range slices.Backward(hashes) {
		if registry.IsFastHash(hash) != fast {
			continue
		}
		if n++; i.opts.Verify(hash, s) {
			return hash
		}
	}
	dummy := i.slow
	if fast {
		dummy = i.fast
	}
	for ; n < maxHashes; n++ {
		i.opts.Verify(dummy, s)
	}
	return ""
}

// Stands reports whether id would be told the same way from s: the client exists, is enabled and has the secret's
// hash, or the certificate is its and no other's; for a local caller, local callers need no credentials.
func (i *Identifier) Stands(s *registry.Snapshot, id Identity) bool {
	if id.Local {
		return i.Open(s)
	}
	if id.certificate != nil {
		clients := id.certificate.clients(s)
		return len(clients) == 1 && clients[0].Name == id.Name
	}
	c := s.Client(id.Name)
	return c != nil && !c.Disabled && slices.Contains(c.SecretHashes, id.hash)
}
