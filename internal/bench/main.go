// Command bench compares sallyport with its peers under load, side by side in
// one run: no proxy, goproxy as a blind tunnel, goproxy intercepting as it
// comes, goproxy intercepting tuned, and sallyport as the real binary on the
// embedded store with everything on.
//
// The proxy under test has one core to itself; the client and the upstream
// share another (with a single caller all share one: waking a sleeping core
// would cost more than any proxy does). Rounds are interleaved (A B A B), every ratio is taken within
// a round, and the median and the spread of the rounds are printed. The figure
// to trust is CPU per request, user and system, from /proc/PID/stat.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the command's flags.
type options struct {
	rounds  int
	seconds float64 // of one cell in one round
	idle    int     // connections of the memory figure
	only    []string
	json    string
	root    string // of the module that builds sallyport
	check   bool
	without bool // leave sallyport out
}

// errMissed says that a must was missed under -check.
var errMissed = errors.New("a must is missed")

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	o, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "interleaved rounds; under five the figures are not to be trusted")
	f.Float64Var(&o.seconds, "seconds", 3, "seconds of load for each arrangement in each round")
	f.IntVar(&o.idle, "idle", 2000, "idle connections held for the memory figure")
	f.StringVar(&only, "only", "", "comma-separated scenarios, of "+strings.Join(scenarioNames(), ", ")+" (default all)")
	f.StringVar(&o.json, "json", "", "write the figures to this file as JSON")
	f.StringVar(&o.root, "root", "../..", "directory of the module that holds cmd/sallyport")
	f.BoolVar(&o.check, "check", false, "exit 1 when a must is missed or was not measured")
	f.BoolVar(&o.without, "without-sallyport", false, "measure the peers alone")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.rounds < 1 || o.seconds <= 0 || o.idle < 1 {
		return o, errors.New("-rounds, -seconds and -idle must be positive")
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(scenarioNames(), name) {
			return o, fmt.Errorf("no scenario %q: there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return o, nil
}

// run measures and reports. It fails when an arrangement does not start, when
// any request of any round failed, since such a run does not count, and with
// errMissed.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.without {
		fmt.Fprint(os.Stderr, "\n*** SALLYPORT IS LEFT OUT (-without-sallyport): these are figures of its peers alone. ***\n\n")
	}
	before := loadAverage()
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	r, err := l.measure(ctx)
	if err != nil {
		return err
	}
	var allocs series
	if !o.without && r[plain] != nil {
		if allocs, err = allocations(ctx, o.root); err != nil {
			return err
		}
	}
	rep := newReport(o, l.scenarios(), r, allocs, before)
	rep.print(out)
	if o.json != "" {
		if err := rep.write(o.json); err != nil {
			return err
		}
	}
	if missed := rep.missed(); o.check && len(missed) > 0 {
		return fmt.Errorf("%w: %s", errMissed, strings.Join(missed, "; "))
	}
	return nil
}
