package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/boltstore"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

type storeCmd struct {
	Move storeMoveCmd `cmd:"" help:"Take what the state directory's embedded store holds to the shared store of SALLYPORT_STORE. serve must be stopped."`
}

type storeMoveCmd struct{}

// Run moves, or goes on with a move that was interrupted. Nothing is lost where
// it fails: the embedded store keeps everything until all of it has arrived.
func (storeMoveCmd) Run(ctx context.Context, st *streams) (err error) {
	c, err := config.Load(st.environ)
	if err != nil {
		return &configError{err}
	}
	if c.Store.IsZero() {
		return &usageError{"SALLYPORT_STORE names no shared store to move to"}
	}
	state, err := openStateDir(c.StateDir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(state.path(embeddedFile)); errors.Is(err, fs.ErrNotExist) {
		return misconfigured("%s has no embedded store: there is nothing to move", state)
	}
	from, err := openEmbedded(state)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, from.Close())
		}
	}()
	raw, err := readKeyset(c.Keyset, state, false)
	if err != nil {
		return err
	}
	keys, err := secret.ParseKeyring(raw)
	if err != nil {
		return misconfigured("SALLYPORT_KEYSET: %w", err)
	}
	if err := checkCanary(ctx, from, keys); err != nil {
		return fmt.Errorf("the shared store needs the keyset that sealed the embedded one (%s): %w", state.path("keyset.json"), err)
	}
	replica, err := committedReplica(state, keys)
	if err != nil {
		return err
	}
	o, err := redisOptions(c)
	if err != nil {
		return err
	}
	o.Replica, o.Sealer, o.Logger = replica, keys, slog.New(slog.DiscardHandler)
	to, err := redisstore.Open(ctx, o)
	if err != nil {
		return storeFault(err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	n, err := move(ctx, state, from, to, keys)
	if err != nil {
		return fmt.Errorf("the move stopped, and nothing is lost; mend what is wrong and run it again: %w", err)
	}
	closed = true
	if err := from.Close(); err != nil {
		return err
	}
	aside := state.path(embeddedFile + ".moved-" + time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Rename(state.path(embeddedFile), aside); err != nil {
		return err
	}
	_, err = fmt.Fprintf(st.out, "%d grants moved. The former store is kept as %s; destroy it once the shared one has a backup.\n"+
		"Each grant is introspected once before its next exchange.\n", n, aside)
	return err
}

// committedReplica returns the replica's name, and refuses while the journal
// holds something that only a running process can finish.
func committedReplica(state stateDir, keys *secret.Keyring) (string, error) {
	j, err := journal.Open(journal.Options{Dir: state.path("journal"), Sealer: keys})
	if errors.Is(err, journal.ErrLocked) {
		return "", misconfigured("a sallyport serves from %s: stop it first", state)
	} else if err != nil {
		return "", fmt.Errorf("the journal: %w", err)
	}
	for e, err := range j.Entries() {
		if err == nil && !e.Settled {
			err = fmt.Errorf("org %s: an exchange isn't finished: start sallyport serve once more on the embedded store, wait until no grant is in doubt, and stop it", e.Org)
		}
		if err != nil {
			return "", errors.Join(err, j.Close())
		}
	}
	return j.Replica(), j.Close()
}

// move copies everything, in an order in which an interrupted move can be done
// again, and returns how many grants there are.
func move(ctx context.Context, state stateDir, from *boltstore.Store, to *redisstore.Store, keys *secret.Keyring) (int, error) {
	theirs, err := settleDeployment(ctx, state, from, keys, false)
	if err != nil {
		return 0, err
	}
	arrived := theirs
	isNew, err := arrived.assert(ctx, to)
	if err != nil {
		return 0, err
	}
	if isNew {
		if err := to.MarkNew(ctx); err != nil {
			return 0, err
		}
	}
	if !bytes.Equal(arrived.ID, theirs.ID) || !bytes.Equal(arrived.Fingerprint, theirs.Fingerprint) {
		return 0, misconfigured("the shared store holds another deployment already: give this one a SALLYPORT_REDIS_PREFIX of its own")
	}
	if err := checkCanary(ctx, to, keys); err != nil {
		return 0, err
	}
	ca, err := from.Meta(ctx, metaCA)
	if err == nil && ca != nil {
		_, err = to.MetaOnce(ctx, metaCA, ca)
	}
	if err != nil {
		return 0, err
	}
	if err := moveRegistry(ctx, from, to); err != nil {
		return 0, err
	}
	err = from.Claimed(ctx, func(name string, org tokens.OrgID) error { return to.Claim(ctx, org, []string{name}) })
	if err != nil {
		return 0, err
	}
	n := 0
	for r, err := range from.All(ctx) {
		if err != nil {
			return n, err
		}
		if err := moveRecord(ctx, from, to, r); err != nil {
			return n, fmt.Errorf("org %s: %w", r.Org, err)
		}
		n++
	}
	return n, nil
}

func moveRegistry(ctx context.Context, from, to registry.Store) error {
	doc, version, err := from.LoadRegistry(ctx)
	if err != nil || version == 0 {
		return err
	}
	there, at, err := to.LoadRegistry(ctx)
	switch {
	case err != nil:
		return err
	case at == 0:
		return to.SaveRegistry(ctx, doc, 0)
	case !bytes.Equal(doc, there):
		return misconfigured("the shared store has apps, orgs or clients of its own already")
	}
	return nil
}

// moveRecord puts r into the shared store, unverified, unless it is there.
func moveRecord(ctx context.Context, from *boltstore.Store, to *redisstore.Store, r tokens.Record) error {
	if r.State == tokens.Exchanging {
		return errors.New("an exchange isn't finished: start sallyport serve once more on the embedded store, and stop it")
	}
	moved := false
	err := to.Hold(ctx, r.Org, func(ctx context.Context, h tokens.Hold) error {
		there, _ := h.Record()
		if there.Known() {
			if there.Place != r.Place || there.Fingerprint != r.Fingerprint {
				return errors.New("the shared store holds another grant of this org already")
			}
			return nil
		}
		n := r
		n.Verified, n.Fence = "", 0
		moved = true
		return h.Save(ctx, n)
	})
	if err != nil || !moved {
		return err
	}
	lines, err := from.List(ctx, r.Org, time.Time{}, 0)
	if err != nil {
		return err
	}
	for _, e := range lines {
		if err := to.Append(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
