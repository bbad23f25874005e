package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// errGreen says that some guard can be taken out unnoticed.
var errGreen = errors.New("a guard can be taken out and no test notices")

// errFault says that the table is wrong.
var errFault = errors.New("the table of mutants is wrong")

// run tests the mutants of all that o asks for, o.jobs at a time. Before that
// every test that a mutant names must be green as the module is.
func run(ctx context.Context, root string, all []mutant, o options, out io.Writer) ([]result, error) {
	all = slices.DeleteFunc(all, func(m mutant) bool { return !m.matches(o) })
	if len(all) == 0 {
		return nil, errors.New("no mutant matches -run")
	}
	// Neighbours share what was built.
	slices.SortStableFunc(all, func(a, b mutant) int { return cmp.Or(strings.Compare(a.pkg, b.pkg), strings.Compare(a.file, b.file)) })
	names, err := sources(ctx, root)
	if err != nil {
		return nil, err
	}
	parent, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(parent) }() // a copy that stays is the system's to sweep
	copies := make([]scratch, o.jobs)
	for i := range copies {
		if copies[i], err = newScratch(root, names, parent); err != nil {
			return nil, err
		}
	}
	if err := baseline(ctx, copies, all); err != nil {
		return nil, err
	}
	results := make([]result, len(all))
	var mu sync.Mutex // guards out
	err = share(copies, len(all), func(s scratch, i int) error {
		r := s.try(ctx, all[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		results[i] = r
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(out, "%-5s  %-9s %-72s %-34s %5.1f s\n", r.verdict, r.numbers(), r.guard, r.file, r.took.Seconds())
		return err
	})
	return slices.DeleteFunc(results, func(r result) bool { return r.verdict == "" }), err
}

// share gives n pieces of work to the copies, and returns the first error.
func share(copies []scratch, n int, work func(s scratch, i int) error) error {
	next := make(chan int)
	errs := make([]error, len(copies))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	once := sync.OnceFunc(func() { close(stop) })
	for c, s := range copies {
		wg.Go(func() { // ends when there is no more work, or after an error
			for i := range next {
				if err := work(s, i); err != nil {
					errs[c] = err
					once()
					return
				}
			}
		})
	}
give:
	for i := range n {
		select {
		case next <- i:
		case <-stop:
			break give
		}
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// baseline demands that the tests which are to go red are green now.
func baseline(ctx context.Context, copies []scratch, all []mutant) error {
	patterns := map[string][]string{}
	var pkgs []string
	for _, m := range all {
		if patterns[m.pkg] == nil {
			pkgs = append(pkgs, m.pkg)
		}
		if !slices.Contains(patterns[m.pkg], m.tests) {
			patterns[m.pkg] = append(patterns[m.pkg], m.tests)
		}
	}
	return share(copies, len(pkgs), func(s scratch, i int) error {
		passed, said, err := s.test(ctx, pkgs[i], strings.Join(patterns[pkgs[i]], "|"))
		if err == nil && !passed {
			err = errors.New("its tests are red before anything is taken out")
		}
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", pkgs[i], err, tail(said))
		}
		return nil
	})
}

// try tests one mutant.
func (s scratch) try(ctx context.Context, m mutant) (r result) {
	start := time.Now()
	r = result{mutant: m, verdict: fault}
	defer func() { r.took = time.Since(start) }()
	restore, err := m.in(s.dir)
	if err != nil {
		r.said = err.Error()
		return r
	}
	passed, said, err := s.test(ctx, m.pkg, m.tests)
	if err := errors.Join(err, restore()); err != nil {
		r.said = err.Error() + "\n" + said
		return r
	}
	r.verdict, r.said = red, said
	if passed {
		r.verdict = green
	}
	return r
}

// report says what is wrong with the table and how many went red, and fails
// where a mutant wasn't caught.
func report(out io.Writer, results []result, took time.Duration, verbose bool) error {
	n := map[verdict]int{}
	for _, r := range results {
		n[r.verdict]++
		if verbose || r.verdict == fault {
			fmt.Fprintf(out, "\n%s (%s):\n%s\n", r.guard, r.file, tail(r.said))
		}
	}
	fmt.Fprintf(out, "%d mutants, %d red, %d green, %d faults of the table, %s\n", len(results), n[red], n[green], n[fault], took.Round(time.Second))
	switch {
	case n[fault] > 0:
		return errFault
	case n[green] > 0:
		return errGreen
	}
	return nil
}

// tail is the end of what was said.
func tail(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
