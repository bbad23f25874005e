package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/secret"
)

// maxConflicts is how often a change is tried against a document that another process keeps changing.
const maxConflicts = 8

// Options is what a [Registry] is made of.
type Options struct {
	Store  Store  // Required.
	Sealer Sealer // Required.
	// LiveGrants reports whether the org of that key has a grant that an apply must not cut off. Nil: none has. It is
	// called while a change is under way and must not call the registry.
	LiveGrants func(key string) bool
}

// Registry holds the live apps, orgs and clients. It is made by [New] and safe for concurrent use.
type Registry struct {
	opts    Options
	current atomic.Pointer[Snapshot]

	// mu guards doc, sealed, version and instance, and is held through a whole change, so that changes go one by one.
	mu       sync.Mutex
	doc      Document
	sealed   []byte // doc, as the store has it.
	version  uint64
	instance map[string]string // Org key to the host of its instance URL.

	// subMu guards subs and nextSub.
	subMu   sync.Mutex
	subs    map[int]func()
	nextSub int
}

// New loads the document from the store; without one the registry is empty. It fails when the store doesn't answer, the
// document doesn't open with the sealer's keys, or a newer version wrote it ([SchemaError]).
func New(ctx context.Context, opts Options) (*Registry, error) {
	if opts.Store == nil || opts.Sealer == nil {
		return nil, errors.New("registry: Store and Sealer are required")
	}
	if opts.LiveGrants == nil {
		opts.LiveGrants = func(string) bool { return false }
	}
	r := &Registry{opts: opts, instance: map[string]string{}, subs: map[int]func(){}}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.publish()
	return r, nil
}

// Snapshot returns the registry as it is now. It never blocks and never is nil.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Apply makes the change true and returns what it changed. It fails with an [InvalidError] that lists every fault, with
// [ErrConflict] when other processes changed the registry all the time, or with an error of the store. After an
// InvalidError or ErrConflict nothing was applied; after another error of the store it is unknown, and applying the
// same change again is safe.
func (r *Registry) Apply(ctx context.Context, c Change) (Diff, error) {
	var diff Diff
	e := effects{live: r.opts.LiveGrants, hash: HashSecret, verify: VerifySecret}
	err := r.change(ctx, func(old Document) (Document, bool, error) {
		next, d, faults, err := plan(old, c, e)
		if err == nil {
			err = NewInvalidError(c.Source, faults)
		}
		diff = d
		return next, d.Changed() && !c.DryRun, err
	})
	if err != nil {
		return Diff{}, err
	}
	return diff, nil
}

// AddClientSecret makes a secret of 256 random bits for a client and returns it, for the only time. The newest two
// secrets of a client are valid, so that one can be rolled over into the next. It fails with an [UnknownError], or as
// Apply does; after an error of the store, a second call is safe but may end both earlier secrets.
func (r *Registry) AddClientSecret(ctx context.Context, name string) (secret.Text, error) {
	s := GenerateSecret()
	h, err := HashSecret(s)
	if err != nil {
		return secret.Text{}, err
	}
	err = r.change(ctx, func(old Document) (Document, bool, error) {
		next := old.clone()
		i := next.client(name)
		if i < 0 {
			return Document{}, false, &UnknownError{Kind: KindClient, Name: name}
		}
		next.Clients[i].SecretHashes = addHash(next.Clients[i].SecretHashes, h)
		return next, true, nil
	})
	if err != nil {
		return secret.Text{}, err
	}
	return s, nil
}

// Reload takes over what another process wrote. A store that has gone back behind what this process knows, or was
// emptied, is given it again. On an error the registry stays as it was.
func (r *Registry) Reload(ctx context.Context) error {
	r.mu.Lock()
	before := r.doc.Serial
	err := r.load(ctx)
	changed := r.doc.Serial != before
	if changed {
		r.publish()
	}
	r.mu.Unlock()
	if changed {
		r.tell()
	}
	return err
}

// SetInstanceHost says which host the instance URL of the org's grant has; an org without hosts of its own claims it
// besides the login URL's. It isn't persisted: the grant knows it. It fails with an [UnknownError], or with a
// [HostError] for a host that an org must not claim.
func (r *Registry) SetInstanceHost(key, host string) error {
	r.mu.Lock()
	o := r.Snapshot().OrgByKey(key)
	if o == nil {
		r.mu.Unlock()
		return &UnknownError{Kind: KindOrg, Name: key}
	}
	if err := checkOrgHost(host, o.ForeignHosts); err != nil {
		r.mu.Unlock()
		return &HostError{Org: o.Name, Host: host, Reason: err.Error()}
	}
	changed := r.instance[key] != host
	if changed {
		r.instance[key] = host
		r.publish()
	}
	r.mu.Unlock()
	if changed {
		r.tell()
	}
	return nil
}

// Subscribe has fn called after each change of the snapshot, until cancel is called. fn runs in the goroutine that made
// the change, so it must be quick; it reads [Registry.Snapshot] and must not change the registry. After cancel returns
// a call that is under way may still end.
func (r *Registry) Subscribe(fn func()) (cancel func()) {
	r.subMu.Lock()
	defer r.subMu.Unlock()
	id := r.nextSub
	r.nextSub++
	r.subs[id] = fn
	return func() {
		r.subMu.Lock()
		defer r.subMu.Unlock()
		delete(r.subs, id)
	}
}

func (r *Registry) tell() {
	r.subMu.Lock()
	fns := make([]func(), 0, len(r.subs))
	for _, fn := range r.subs {
		fns = append(fns, fn)
	}
	r.subMu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// change saves and publishes what edit makes of the document. edit is called again after a conflict, on what the other
// process wrote; it says whether there is anything to save.
func (r *Registry) change(ctx context.Context, edit func(Document) (Document, bool, error)) error {
	saved, reloaded, err := r.locked(ctx, edit)
	if saved || reloaded {
		r.tell()
	}
	return err
}

func (r *Registry) locked(ctx context.Context, edit func(Document) (Document, bool, error)) (saved, reloaded bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range maxConflicts {
		next, save, err := edit(r.doc)
		if err != nil || !save {
			return false, reloaded, err
		}
		next.Serial = r.doc.Serial + 1
		sealed, err := next.seal(r.opts.Sealer)
		if err != nil {
			return false, reloaded, fmt.Errorf("seal the registry: %w", err)
		}
		err = r.opts.Store.SaveRegistry(ctx, sealed, r.version)
		if err == nil {
			r.doc, r.sealed, r.version = next, sealed, r.version+1
			r.publish()
			return true, reloaded, nil
		}
		if !errors.Is(err, ErrConflict) {
			return false, reloaded, fmt.Errorf("save the registry (applying the same again is safe): %w", err)
		}
		if err := r.load(ctx); err != nil {
			return false, reloaded, err
		}
		r.publish()
		reloaded = true
	}
	return false, reloaded, fmt.Errorf("%w, %d times; nothing was applied, try again", ErrConflict, maxConflicts)
}

// load reads the document, or heals the store. The caller holds mu, or has the registry to itself.
func (r *Registry) load(ctx context.Context) error {
	for range maxConflicts {
		sealed, version, err := r.opts.Store.LoadRegistry(ctx)
		if err != nil {
			return fmt.Errorf("load the registry: %w", err)
		}
		if version == r.version && bytes.Equal(sealed, r.sealed) {
			return nil
		}
		doc, err := openDocument(r.opts.Sealer, sealed)
		if err != nil {
			return fmt.Errorf("open the registry: %w", err)
		}
		if doc.Serial >= r.doc.Serial {
			r.doc, r.sealed, r.version = doc, sealed, version
			return nil
		}
		mine, err := r.doc.seal(r.opts.Sealer)
		if err != nil {
			return fmt.Errorf("seal the registry: %w", err)
		}
		if err := r.opts.Store.SaveRegistry(ctx, mine, version); err == nil {
			r.sealed, r.version = mine, version+1
			return nil
		} else if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("give the store the registry again: %w", err)
		}
	}
	return fmt.Errorf("%w, %d times: the store lacks what this process knows", ErrConflict, maxConflicts)
}

// publish replaces the snapshot. The caller holds mu, or has the registry to itself.
func (r *Registry) publish() {
	generation := uint64(1)
	if s := r.current.Load(); s != nil {
		generation = s.generation + 1
	}
	r.current.Store(newSnapshot(r.doc, r.instance, generation))
}
