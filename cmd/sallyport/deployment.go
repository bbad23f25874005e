package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// deployment is what is made once for all replicas, kept in the store and in
// each state directory, and never rotated. A store that lost it takes it from
// the first process that has it.
type deployment struct {
	ID          []byte `json:"id"`
	Fingerprint []byte `json:"fingerprintKey"` // sealed
}

// deploymentFile is its name in the state directory.
const deploymentFile = "deployment.json"

// askLiving is how long a process that knows of no deployment waits for one
// that does: a living replica writes it back within a second or two.
const askLiving = 3 * time.Second

// settleDeployment agrees on the deployment with the store, or refuses where
// the two don't belong together.
func settleDeployment(ctx context.Context, state stateDir, st metaStore, keys *secret.Keyring, shared bool) (deployment, error) {
	var kept deployment
	b, err := state.read(deploymentFile)
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &kept); err != nil {
			return kept, fmt.Errorf("%s: %w", state.path(deploymentFile), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return kept, err
	}
	stored, err := st.Meta(ctx, metaDeployment)
	for began := time.Now(); err == nil && stored == nil && kept.ID == nil && shared && time.Since(began) < askLiving; {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return kept, ctx.Err()
		}
		stored, err = st.Meta(ctx, metaDeployment)
	}
	if err != nil {
		return kept, err
	}
	if stored != nil && kept.ID != nil && !bytes.Equal(stored, kept.ID) {
		return kept, misconfigured("the state directory %s belongs to another deployment than the store: give this process a state directory of its own, or the store that it had", state)
	}
	d := kept
	if d.ID == nil {
		d.ID = []byte(randomToken())
	}
	if d.Fingerprint == nil {
		if d.Fingerprint, err = keys.Seal(secret.NewFingerprintKey(), "", metaFingerprint); err != nil {
			return d, err
		}
	}
	isNew, err := d.assert(ctx, st)
	if err != nil {
		return d, err
	}
	if n, ok := st.(interface{ MarkNew(context.Context) error }); ok && isNew && kept.ID == nil {
		if err := n.MarkNew(ctx); err != nil {
			return d, err
		}
	}
	if kept.ID != nil && bytes.Equal(kept.Fingerprint, d.Fingerprint) {
		return d, nil
	}
	if b, err = json.Marshal(d); err != nil {
		return d, err
	}
	return d, writePrivate(state.path(deploymentFile), b)
}

// assert gives the store what it lacks of d, and takes over what it has. isNew
// says that the store had nothing of it.
func (d *deployment) assert(ctx context.Context, st metaStore) (isNew bool, err error) {
	there, err := st.Meta(ctx, metaDeployment)
	if err != nil {
		return false, err
	}
	mine := d.ID
	if d.ID, err = st.MetaOnce(ctx, metaDeployment, mine); err != nil {
		return false, err
	}
	d.Fingerprint, err = st.MetaOnce(ctx, metaFingerprint, d.Fingerprint)
	return there == nil && bytes.Equal(mine, d.ID), err
}
