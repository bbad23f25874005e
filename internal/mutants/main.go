// Command mutants takes the guards of the failure cases out, one at a time, and
// demands that a test goes red each time: a test that stays green without its
// guard tests nothing.
//
// The table (table_*.go) names each guard, where its text stands and what
// stands there without it, and the tests that must notice. Every mutant is
// built and tested in a scratch copy of the module; the working tree isn't
// touched. A mutant that doesn't compile, or whose text has moved, is a fault
// of the table and not a catch.
//
//	go run ./internal/mutants [-run REGEXP] [-jobs N] [-v]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	only    *regexp.Regexp // of guards, files and cases ("case 31")
	jobs    int            // scratch copies, each with one mutant at a time
	verbose bool           // what the tests said, too
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "mutants:", err)
		}
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := f.String("run", "", "only mutants whose guard, file or \"case N\" matches this `regexp`")
	f.IntVar(&o.jobs, "jobs", 2, "how many mutants are tested at a time")
	f.BoolVar(&o.verbose, "v", false, "print what the tests said")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.jobs < 1 || o.jobs > 64 {
		return fmt.Errorf("-jobs is %d, want 1 to 64", o.jobs)
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	results, err := run(ctx, root, mutants(), o, out)
	return errors.Join(err, report(out, results, time.Since(start), o.verbose))
}
