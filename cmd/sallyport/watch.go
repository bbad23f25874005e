package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleFiles is how long files must be quiet before they are read again, so
// that a half-written pair isn't.
const settleFiles = 200 * time.Millisecond

// watch calls reload on SIGHUP and when one of files changes, or the symbolic
// link of its directory as Kubernetes swaps it, until ctx ends.
func watch(ctx context.Context, log *slog.Logger, files []string, reload func(context.Context)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range files {
		if dir := filepath.Dir(f); !seen[dir] {
			seen[dir] = true
			if err := w.Add(dir); err != nil {
				return errors.Join(err, w.Close())
			}
		}
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() { // ends with ctx
		defer func() {
			signal.Stop(hup)
			if err := w.Close(); err != nil {
				log.Warn("the file watcher didn't close", "error", err)
			}
		}()
		quiet := time.NewTimer(time.Hour)
		quiet.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				reload(ctx)
			case e := <-w.Events:
				if concerns(e, files) {
					quiet.Reset(settleFiles)
				}
			case err := <-w.Errors:
				log.Warn("files are no longer watched reliably: send SIGHUP after a change", "error", err)
			case <-quiet.C:
				reload(ctx)
			}
		}
	}()
	return nil
}

func concerns(e fsnotify.Event, files []string) bool {
	for _, f := range files {
		f = filepath.Clean(f) // fsnotify calls what is in "." ./NAME
		if filepath.Clean(e.Name) == f || filepath.Base(e.Name) == "..data" && filepath.Dir(e.Name) == filepath.Dir(f) {
			return !e.Has(fsnotify.Chmod) || e.Op != fsnotify.Chmod
		}
	}
	return false
}
