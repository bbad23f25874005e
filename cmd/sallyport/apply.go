package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
)

type applyCmd struct {
	File   string   `short:"f" required:"" placeholder:"FILE" help:"The resources file (YAML); - reads stdin."`
	DryRun bool     `help:"Print what would change, and change nothing."`
	Prune  bool     `help:"Disable what the file lacks. No grant is destroyed."`
	Rehome []string `placeholder:"ORG" help:"Let the app, client id or login host of an org with a live grant change. Repeatable."`
}

// Run resolves the file's references here and sends values.
func (c *applyCmd) Run(ctx context.Context, st *streams) error {
	change, err := c.read(st)
	if err != nil {
		return err
	}
	change.DryRun, change.Prune, change.Rehome = c.DryRun, c.Prune, c.Rehome
	server, err := st.server()
	if err != nil {
		return err
	}
	done, err := server.Apply(ctx, change)
	if err != nil {
		return err
	}
	return tellApplied(st, done)
}

func (c *applyCmd) read(st *streams) (registry.Change, error) {
	in, name := st.in, "stdin"
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return registry.Change{}, &configError{err}
		}
		defer f.Close()
		in, name = f, c.File
	}
	lookup := func(name string) (string, bool) {
		v := st.getenv(name)
		return v, v != ""
	}
	return config.ParseResources(in, name, config.ResourceOptions{LookupEnv: lookup})
}

func tellApplied(st *streams, done admin.Applied) error {
	unchanged := 0
	var rows [][]string
	for _, item := range done.Items {
		if item.Action == registry.ActionUnchanged {
			unchanged++
			continue
		}
		rows = append(rows, []string{item.Action, item.Kind, item.Name, strings.Join(item.Fields, ", ")})
	}
	failed := 0
	for _, g := range done.Grants {
		if g.Result == admin.SeedFailed {
			failed++
			fmt.Fprintf(st.err, "sallyport: grant of org %s: %s\n", g.Org, plain(g.Error))
			continue
		}
		if g.Result == admin.SeedUsed {
			rows = append(rows, []string{g.Result, "grant", g.Org})
		}
	}
	for _, org := range done.Rehomed {
		rows = append(rows, []string{"rehomed", "grant", org, "authorise it again: sallyport grant authorize " + org})
	}
	if err := table(st.out, rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(st.out, "%s%d changed, %d unchanged\n", dryRunNote(done.DryRun), len(done.Items)-unchanged, unchanged); err != nil {
		return err
	}
	if failed > 0 {
		return errTold
	}
	return nil
}

func dryRunNote(dry bool) string {
	if dry {
		return "dry run, nothing was changed: "
	}
	return ""
}

// readAll reads at most limit bytes of in.
func readAll(in io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("the input is larger than %d bytes", limit)
	}
	return b, err
}
