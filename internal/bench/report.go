package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is a run in figures, as it is printed and written.
type report struct {
	Time    time.Time `json:"time"`
	Go      string    `json:"go"`
	Kernel  string    `json:"kernel"`
	Load    string    `json:"loadAverage"` // before the run: a busy machine blurs all but the ratios
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"`
	Figures []figure  `json:"figures"`
	Musts   []must    `json:"musts,omitempty"`

	results results
	titles  map[string]string
}

// A figure is one number of one cell: its median, its spread and its rounds.
type figure struct {
	Scenario string    `json:"scenario"`
	Cell     string    `json:"arrangement"`
	Name     string    `json:"figure"`
	Median   float64   `json:"median"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Rounds   []float64 `json:"rounds"`
}

// A column is a figure that a scenario's table shows.
type column struct {
	head   string
	format string
	of     func(r results, scenario, cell string) series
}

func plainly(f func(sample) float64) func(results, string, string) series {
	return func(r results, scenario, cell string) series { return r.figure(scenario, cell, f) }
}

// against is a figure over the same figure of another cell in the same round.
func against(base string, f func(sample) float64) func(results, string, string) series {
	return func(r results, scenario, cell string) series {
		return r.figure(scenario, cell, f).over(r.figure(scenario, base, f))
	}
}

func columns(name string) []column {
	micros := column{"CPU µs a request", "%.1f", plainly(cpuMicros)}
	tuned := column{"vs goproxy tuned", "%.2f", against(goproxyTuned, cpuMicros)}
	rate := column{"req/s", "%.0f", plainly(perSecond)}
	p50, p99 := column{"p50 µs", "%.0f", plainly(p50Micros)}, column{"p99 µs", "%.0f", plainly(p99Micros)}
	core := column{"its core busy", "%.2f", plainly(busy)}
	switch name {
	case plain:
		return []column{micros, tuned, {"req/s vs direct", "%.2f", against(direct, perSecond)}, rate, p50, p99, core}
	case single:
		added := func(r results, scenario, cell string) series {
			return r.figure(scenario, cell, p50Micros).minus(r.figure(scenario, direct, p50Micros))
		}
		return []column{p50, {"added µs", "%.0f", added}, p99, micros}
	case connect:
		return []column{
			{"CPU µs a connection", "%.0f", plainly(cpuMicros)},
			{"vs goproxy full", "%.2f", against(goproxyTuned+full, cpuMicros)},
			{"resumed", "%.2f", plainly(resumedShare)},
			{"connections/s", "%.0f", plainly(perSecond)}, core,
		}
	case bulk:
		return []column{{"CPU s a GiB", "%.2f", plainly(cpuPerGiB)}, {"vs goproxy tuned", "%.2f", against(goproxyTuned, cpuPerGiB)}, {"GiB/s", "%.2f", plainly(gibPerSecond)}}
	case h2:
		return []column{micros, tuned, rate, p50, p99, core}
	case idle:
		return []column{{"KiB a connection", "%.1f", plainly(kibEach)}}
	}
	return []column{micros, {"µs more", "%.1f", func(r results, scenario, cell string) series {
		return r.figure(scenario, cell, cpuMicros).minus(r.figure(scenario, sallyport, cpuMicros))
	}}, rate, {"spans that did not arrive", "%.0f", plainly(untraced)}}
}

func newReport(o options, programme []scenario, r results, allocs series, loadBefore string) report {
	rep := report{Time: time.Now().UTC(), Load: loadBefore, Go: runtime.Version(), Rounds: o.rounds, Seconds: o.seconds, results: r, titles: map[string]string{}}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		rep.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	for _, s := range programme {
		rep.titles[s.name] = s.title
		for _, c := range s.cells {
			for _, col := range columns(s.name) {
				if v := col.of(r, s.name, c.name); len(v) > 0 && !math.IsNaN(v.median()) && !math.IsInf(v.median(), 0) {
					rep.Figures = append(rep.Figures, figure{s.name, c.name, col.head, v.median(), slices.Min(v), slices.Max(v), v})
				}
			}
		}
	}
	if !o.without {
		for _, m := range musts(r, allocs) {
			if r[m.scenario] != nil {
				rep.Musts = append(rep.Musts, m)
			}
		}
	}
	return rep
}

// print writes the tables as Markdown: medians, and the spread of the rounds.
func (rep report) print(w io.Writer) {
	fmt.Fprintf(w, "%d interleaved rounds of %g s, %s, Linux %s, load average before: %s\n", rep.Rounds, rep.Seconds, rep.Go, rep.Kernel, rep.Load)
	for _, name := range scenarioNames() {
		if rep.results[name] == nil {
			continue
		}
		fmt.Fprintf(w, "\n%s\n\n| arrangement |", rep.titles[name])
		cols := columns(name)
		for _, c := range cols {
			fmt.Fprintf(w, " %s |", c.head)
		}
		fmt.Fprint(w, "\n|---|", strings.Repeat("---:|", len(cols)), "\n")
		for _, cell := range rep.cells(name) {
			fmt.Fprintf(w, "| %s |", cell)
			for _, c := range cols {
				fmt.Fprintf(w, " %s |", rep.cellText(name, cell, c))
			}
			fmt.Fprintln(w)
		}
	}
	if lines := rep.results.figure(plain, sallyport, logLines); len(lines) > 0 {
		fmt.Fprintf(w, "\nAccess log lines a request: %.2f\n", lines.median())
	}
	if len(rep.Musts) == 0 {
		return
	}
	fmt.Fprint(w, "\n| figure | must | goal | measured | spread | |\n|---|---:|---:|---:|---:|---|\n")
	for _, m := range rep.Musts {
		fmt.Fprintln(w, m.row())
	}
}

func (rep report) cells(scenario string) (names []string) {
	for _, f := range rep.Figures {
		if f.Scenario == scenario && !slices.Contains(names, f.Cell) {
			names = append(names, f.Cell)
		}
	}
	return names
}

func (rep report) cellText(scenario, cell string, c column) string {
	for _, f := range rep.Figures {
		if f.Scenario != scenario || f.Cell != cell || f.Name != c.head {
			continue
		}
		if cell == direct && strings.Contains(c.head, "CPU") {
			break // there is no proxy
		}
		if low, high := fmt.Sprintf(c.format, f.Min), fmt.Sprintf(c.format, f.Max); low != high {
			return fmt.Sprintf(c.format+" (%s to %s)", f.Median, low, high)
		}
		return fmt.Sprintf(c.format, f.Median)
	}
	return "–"
}

func (m must) row() string {
	sign, goal, value, spread, verdict := "≤", "", "not measured", "", "**missed**"
	if m.AtLeast {
		sign = "≥"
	}
	if m.Goal != nil {
		goal = fmt.Sprintf("%s %g %s", sign, *m.Goal, m.Unit)
	}
	if m.Value != nil {
		value, spread = fmt.Sprintf("%.2f %s", *m.Value, m.Unit), fmt.Sprintf("%.2f to %.2f", m.Min, m.Max)
	}
	switch {
	case m.GoalToo:
		verdict = "reached, the goal too"
	case m.Reached:
		verdict = "reached"
	}
	return fmt.Sprintf("| %s | %s %g %s | %s | %s | %s | %s |", m.Figure, sign, m.Limit, m.Unit, goal, value, spread, verdict)
}

// missed names the musts that this run was to judge and that were not reached.
func (rep report) missed() (names []string) {
	for _, m := range rep.Musts {
		if !m.Reached {
			names = append(names, m.Figure)
		}
	}
	return names
}

func (rep report) write(file string) error {
	p, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(p, '\n'), 0o644)
}
