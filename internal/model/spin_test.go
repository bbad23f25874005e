//go:build model

package model_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var only = flag.String("only", "", "a regular expression: check only the environments and mutations whose name it matches")

// The bounds of one run. A run that meets one of them has checked nothing.
const (
	megabytes = 4000
	depth     = 20000
	patience  = 10 * time.Minute
)

// result is what the checker said.
type result struct {
	states   string
	took     time.Duration
	violated string // the check that failed, empty where none did
	trace    string // the steps that led there, the fewest that do
	err      error
}

func TestModel(t *testing.T) {
	for tool, pkg := range map[string]string{"spin": "spin", "gcc": "gcc libc6-dev"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the model is checked with %s, which is missing: apt-get install -y --no-install-recommends %s", tool, pkg)
		}
	}
	pick, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	tab := readTable(t)
	var jobs []func() string
	for _, e := range tab.environments {
		if pick.MatchString(e.name) {
			jobs = append(jobs, func() string { return clean(t, tab, e) })
		}
	}
	for _, u := range tab.mutations {
		if pick.MatchString(u.rule) {
			jobs = append(jobs, func() string { return caught(t, tab, u) })
		}
	}
	if len(jobs) == 0 {
		t.Fatalf("nothing is called %q", *only)
	}
	fmt.Printf("%-11s  %-34s %9s %7s  %s\n", "", "", "states", "seconds", "result")
	start := time.Now()
	inParallel(jobs)
	fmt.Printf("%d runs in %s\n", len(jobs), time.Since(start).Round(time.Second))
}

// inParallel runs jobs, as many at a time as there are processors, and prints
// what each returns as soon as all before it are done.
func inParallel(jobs []func() string) {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	lines := make([]chan string, len(jobs))
	var wg sync.WaitGroup
	for i, job := range jobs {
		lines[i] = make(chan string, 1)
		wg.Go(func() { // ends with its job
			slots <- struct{}{}
			defer func() { <-slots }()
			lines[i] <- job()
		})
	}
	for _, l := range lines {
		fmt.Println(<-l)
	}
	wg.Wait()
}

func clean(t *testing.T, tab table, e environment) string {
	r := spin(t, tab.defined(e, ""), "-DCOLLAPSE")
	verdict := "clean"
	switch {
	case r.err != nil:
		verdict = "FAILED"
		t.Errorf("environment %s: %v", e.name, r.err)
	case r.violated != "":
		verdict = "VIOLATED: " + r.violated
		t.Errorf("environment %s: %s:\n%s", e.name, r.violated, r.trace)
	}
	return row("environment", e.name, r, verdict)
}

func caught(t *testing.T, tab table, u mutation) string {
	e, ok := tab.environment(u.in)
	if !ok {
		t.Errorf("mutation %s: there is no environment %s", u.rule, u.in)
	}
	r := spin(t, tab.defined(e, u.rule), "-DBFS")
	verdict := "caught: " + r.violated
	switch {
	case r.err != nil:
		verdict = "FAILED"
		t.Errorf("mutation %s: %v", u.rule, r.err)
	case r.violated == "":
		verdict = "NOT CAUGHT"
		t.Errorf("mutation %s in %s is not caught: the model doesn't need %s", u.rule, u.in, u.where)
	case !strings.HasPrefix(r.violated, u.check+": "):
		verdict = "CAUGHT BY ANOTHER CHECK: " + r.violated
		t.Errorf("mutation %s in %s: %s, want the check %s:\n%s", u.rule, u.in, r.violated, u.check, r.trace)
	}
	return row("mutation", u.rule+" in "+u.in, r, verdict)
}

func row(kind, name string, r result, verdict string) string {
	return fmt.Sprintf("%-11s  %-34s %9s %7.1f  %s", kind, name, r.states, r.took.Seconds(), verdict)
}

var (
	statesLine  = regexp.MustCompile(`(?m)^ *(\d+) states, stored`)
	errorsLine  = regexp.MustCompile(`(?m)errors: (\d+)$`)
	violation   = regexp.MustCompile(`VIOLATION (.*)`)
	tooFar      = regexp.MustCompile(`(?i)max search depth too small|reached -DMEMLIM|out of memory`)
	noTraceLine = regexp.MustCompile(`(?m)^(spin:.*|#processes:(?s:.*))$`)
)

// spin makes a checker of the model as defined, runs it to the end, and follows
// the trace where a check failed.
func spin(t *testing.T, defined []string, how string) (r result) {
	dir := t.TempDir()
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if r.err = os.WriteFile(filepath.Join(dir, modelFile), []byte(read(t, modelFile)), 0o600); r.err != nil {
		return r
	}
	run := func(name string, args ...string) (string, error) {
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if ctx.Err() != nil {
			err = fmt.Errorf("not done after %s", patience)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w:\n%s", name, err, out)
		}
		return string(out), err
	}
	out, err := run("spin", append(append([]string{"-a"}, defined...), modelFile)...)
	if err != nil || strings.Contains(out, "Error") {
		r.err = fmt.Errorf("%w\n%s", err, out)
		return r
	}
	// Not optimised: most runs are shorter than an optimiser's.
	if _, r.err = run("gcc", "-O0", "-w", "-DSAFETY", "-DVECTORSZ=2048", fmt.Sprint("-DMEMLIM=", megabytes), how, "-o", "pan", "pan.c"); r.err != nil {
		return r
	}
	if out, r.err = run(filepath.Join(dir, "pan"), "-n", fmt.Sprint("-m", depth)); r.err != nil {
		return r
	}
	states, errs := statesLine.FindStringSubmatch(out), errorsLine.FindStringSubmatch(out)
	if states == nil || errs == nil || tooFar.MatchString(out) {
		r.err = fmt.Errorf("the checker didn't come to the end:\n%s", out)
		return r
	}
	r.states = states[1]
	if errs[1] == "0" {
		return r
	}
	if out, r.err = run("spin", append(append([]string{"-t"}, defined...), modelFile)...); r.err != nil {
		return r
	}
	r.violated, r.trace = "an error that isn't a check's", out
	if v := violation.FindStringSubmatch(out); v != nil {
		r.violated, r.trace = v[1], strings.TrimSpace(noTraceLine.ReplaceAllString(out, ""))
	}
	return r
}

// defined is what is defined for a run of e with rule left out, in a fixed order.
func (tab table) defined(e environment, rule string) []string {
	all := maps.Clone(tab.defaults)
	maps.Copy(all, e.defines)
	if rule != "" {
		all["MUT"] = rule
	}
	var args []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		args = append(args, fmt.Sprintf("-D%s=%s", k, all[k]))
	}
	return args
}
