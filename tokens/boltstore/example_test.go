package boltstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/boltstore"
)

// A record is read and written under a hold of its org.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "grants.db")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Hold(context.Background(), "acme", func(ctx context.Context, h tokens.Hold) error {
		r, _ := h.Record()
		r.Schema, r.Org, r.State = tokens.Schema, "acme", tokens.Ready
		return h.Save(ctx, r)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := s.Load(context.Background(), "acme")
	fmt.Println(r.Org, r.State, r.Revision, err)
	// Output:
	// acme ready 1 <nil>
}
