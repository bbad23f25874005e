package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string)
		file   func(dir string) string
	}{
		{"a file is written", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a.crl"), []byte("2")) }, nil},
		{"a file is renamed into its place", func(t *testing.T, dir string) {
			if err := os.Rename(write(t, filepath.Join(dir, "new"), []byte("2")), filepath.Join(dir, "a.crl")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"Kubernetes swaps the link of the directory", func(t *testing.T, dir string) {
			if err := os.Symlink(dir, filepath.Join(dir, "..data_tmp")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"a file with a relative name is written", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a.crl"), []byte("2")) },
			func(string) string { return "a.crl" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			file := write(t, filepath.Join(dir, "a.crl"), []byte("1"))
			if tt.file != nil {
				file = tt.file(dir)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			read := make(chan struct{}, 10)
			if err := watch(ctx, slog.New(slog.DiscardHandler), []string{file}, func(context.Context) { read <- struct{}{} }); err != nil {
				t.Fatal(err)
			}
			tt.change(t, dir)
			select {
			case <-read:
			case <-time.After(10 * time.Second):
				t.Error("nothing was read again")
			}
		})
	}
}
