package simtest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/simtest"
)

var (
	seeds   = flag.Int("seeds", 2000, "how many seeds TestSimulation runs")
	first   = flag.Uint64("first", 1, "the first of them")
	seed    = flag.Uint64("seed", 0, "the seed that TestSeed runs, and reduces where it fails")
	replay  = flag.String("replay", "", "a file with a scenario that TestSeed runs instead")
	keep    = flag.String("keep", "", "where TestSeed writes the scenario that it reduced")
	summary = flag.String("summary", "", "where TestSimulation writes its summary, as Markdown")
)

// One processor plays a scenario faster than several: only one goroutine of it
// runs at a time. It also keeps goroutines in one order.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// TestSimulation plays the scenarios of many seeds. A seed that fails is
// reduced to a short list of steps; keep those with -keep in testdata.
func TestSimulation(t *testing.T) {
	cov, losses := simtest.NewCoverage(), simtest.NewLosses()
	began, failed := time.Now(), 0
	for i := range *seeds {
		s := *first + uint64(i)
		sc := simtest.Generate(s)
		res := simtest.Run(t, sc, cov, false)
		losses.Add(sc.Switches, res.End)
		if len(res.Broken) == 0 {
			continue
		}
		report(t, s, sc, res)
		if failed++; failed == 10 {
			t.Fatal("that is enough")
		}
	}
	t.Logf("%d seeds, %.0f a second", *seeds, float64(*seeds)/time.Since(began).Seconds())
	for _, m := range cov.Missing(*seeds) {
		t.Errorf("it took place too rarely for %d seeds: %s", *seeds, m)
	}
	if *summary != "" {
		var out bytes.Buffer
		fmt.Fprintf(&out, "# Summary of the simulation\n\n`go test ./internal/simtest -run TestSimulation -first=%d -seeds=%d -summary=FILE`\n\n", *first, *seeds)
		cov.Write(&out)
		losses.Write(&out)
		if err := os.WriteFile(*summary, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSeed plays one seed, or a kept scenario, and tells all that happens.
func TestSeed(t *testing.T) {
	sc := simtest.Generate(*seed)
	switch {
	case *replay != "":
		sc = read(t, *replay)
	case *seed == 0:
		return // nobody asked
	}
	if broken := simtest.Run(t, sc, simtest.NewCoverage(), false).Broken; len(broken) > 0 {
		sc = reduce(t, sc, broken[0])
	}
	res := simtest.Run(t, sc, simtest.NewCoverage(), true)
	t.Log("\n" + sc.String() + res.Trace)
	for _, b := range res.Broken {
		t.Error(b)
	}
	if *keep != "" {
		b, err := json.MarshalIndent(sc, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*keep, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRegressions plays each scenario that ever failed, as it was reduced.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios are kept", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			for _, b := range simtest.Run(t, read(t, f), simtest.NewCoverage(), false).Broken {
				t.Errorf("%s\nreplay it: go test ./internal/simtest -v -run TestSeed -replay=%s", b, f)
			}
		})
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for s := range uint64(20) {
		sc := simtest.Generate(*first + s)
		want := simtest.Run(t, sc, simtest.NewCoverage(), true)
		for range 20 {
			if got := simtest.Run(t, sc, simtest.NewCoverage(), true); got.Trace != want.Trace {
				t.Errorf("seed %d: %s", *first+s, cmp.Diff(want.Trace, got.Trace))
				return
			}
		}
	}
}

func report(t *testing.T, s uint64, sc simtest.Scenario, res simtest.Result) {
	t.Helper()
	small := reduce(t, sc, res.Broken[0])
	t.Errorf("seed %d: %s\n%sreplay it: go test ./internal/simtest -v -run TestSeed -seed=%d", s, res.Broken[0], small, s)
}

// reduce shortens sc while it breaks the same promise.
func reduce(t *testing.T, sc simtest.Scenario, broken string) simtest.Scenario {
	t.Helper()
	promise, _, _ := strings.Cut(broken, ":")
	return simtest.Reduce(sc, 1000, func(c simtest.Scenario) bool {
		r := simtest.Run(t, c, simtest.NewCoverage(), false)
		return len(r.Broken) > 0 && strings.HasPrefix(r.Broken[0], promise+":")
	})
}

func read(t *testing.T, file string) (sc simtest.Scenario) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &sc); err != nil {
		t.Fatal(file, err)
	}
	return sc
}
