package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens/boltstore"
)

func newKeys(t *testing.T) *secret.Keyring {
	t.Helper()
	raw, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := secret.ParseKeyring(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newState(t *testing.T) (stateDir, *boltstore.Store) {
	t.Helper()
	d, err := openStateDir(t.TempDir() + "/state")
	if err != nil {
		t.Fatal(err)
	}
	s, err := openEmbedded(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return d, s
}

func refusesToStart(t *testing.T, what string, err error) {
	t.Helper()
	if e := (*configError)(nil); !errors.As(err, &e) {
		t.Errorf("%s: %v, want that it refuses to start", what, err)
	}
}

// A state directory of one deployment and the store of another: a copy somewhere.
func TestFailure28AStateDirectoryOfAnotherDeploymentIsRefused(t *testing.T) {
	ctx, keys := context.Background(), newKeys(t)
	mine, ours := newState(t)
	first, err := settleDeployment(ctx, mine, ours, keys, false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := settleDeployment(ctx, mine, ours, keys, false)
	if err != nil || !bytes.Equal(first.ID, again.ID) {
		t.Errorf("the next start: %v", err)
	}
	other, theirs := newState(t)
	if _, err := settleDeployment(ctx, other, theirs, keys, false); err != nil {
		t.Fatal(err)
	}
	_, err = settleDeployment(ctx, mine, theirs, keys, false)
	refusesToStart(t, "our state directory on their store", err)
}

// A store that was emptied takes the deployment back from whoever has it.
func TestFailure29AStoreThatWasEmptiedIsGivenItsDeployment(t *testing.T) {
	ctx, keys := context.Background(), newKeys(t)
	mine, ours := newState(t)
	first, err := settleDeployment(ctx, mine, ours, keys, false)
	if err != nil {
		t.Fatal(err)
	}
	_, emptied := newState(t)
	again, err := settleDeployment(ctx, mine, emptied, keys, false)
	if err != nil || !bytes.Equal(first.ID, again.ID) || !bytes.Equal(first.Fingerprint, again.Fingerprint) {
		t.Errorf("another deployment on an emptied store: %v", err)
	}
}

func TestFailure40AKeysetThatDoesNotOpenTheStoreIsRefused(t *testing.T) {
	_, store := newState(t)
	right := newKeys(t)
	for range 2 {
		if err := checkCanary(context.Background(), store, right); err != nil {
			t.Fatal(err)
		}
	}
	refusesToStart(t, "another keyset", checkCanary(context.Background(), store, newKeys(t)))
}

func TestFailure56AStateDirectoryIsOneProcesss(t *testing.T) {
	d, _ := newState(t)
	_, err := openEmbedded(d)
	refusesToStart(t, "a second process", err)
}
