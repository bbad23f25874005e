package simtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// Write writes the counts as Markdown.
func (c *Coverage) Write(out io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	table := func(title string, m map[string]int, order []string) {
		fmt.Fprintf(out, "| %s | times |\n|---|---:|\n", title)
		for _, k := range order {
			fmt.Fprintf(out, "| %s | %d |\n", k, m[k])
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !slices.Contains(order, k) {
				fmt.Fprintf(out, "| %s | %d |\n", k, m[k])
			}
		}
		fmt.Fprintln(out)
	}
	table("Edge of the state machine", c.edges, Edges)
	table("Resolution of a doubt", c.doubts, Doubts)
	fmt.Fprintf(out, "| Row of failures.md | times |\n|---:|---:|\n")
	for _, r := range Rows {
		fmt.Fprintf(out, "| %d | %d |\n", r, c.rows[r])
	}
	fmt.Fprintln(out)
	table("How a grant ended", c.ends, nil)
	table("And", c.others, nil)
}

// Losses counts, per combination of the switches that Salesforce doesn't
// document, the grants that ended in need of a person, by what took them.
type Losses struct {
	runs map[combination]int
	lost map[combination]map[string]int
}

// combination is what may be so or not.
type combination struct {
	endsOlder, reuse, replaySpares, configSpends, revokesAll bool
}

// NewLosses returns a Losses of nothing.
func NewLosses() *Losses {
	return &Losses{map[combination]int{}, map[combination]map[string]int{}}
}

// Add counts one run. Only those are counted in which introspection tells the
// truth and a doubt is asked about late: the rest is an operator's choice.
func (l *Losses) Add(s Switches, e End) {
	if s.Introspection != tokenstest.IntrospectionTrue || s.Doubt != tokens.AskLate || s.Calm {
		return
	}
	c := combination{s.EndsOlder, s.Reuse, s.ReplaySpares, s.ConfigSpends, s.RevokesAll}
	l.runs[c]++
	if l.lost[c] == nil {
		l.lost[c] = map[string]int{}
	}
	for _, column := range lossColumns {
		if slices.Contains(column.what, e.Loss) {
			l.lost[c][column.title]++
		}
	}
}

// lossColumns are the columns of the table.
var lossColumns = []struct {
	title string
	what  []string
}{
	{"answer lost, cut or a 5xx after rotation", []string{tokenstest.FateUnheard.String(), tokenstest.FateCut.String(), tokenstest.FateUnclear.String()}},
	{"crash before the fsync", []string{"a crash before the fsync"}},
	{"disk destroyed", []string{"the disk was destroyed", "the disk failed and the store lost it"}},
	{"refusal as configuration", []string{tokenstest.FateConfig.String()}},
	{"the question was reuse", []string{tokenstest.FateQuestion.String()}},
	{"a copy elsewhere, or Salesforce ended it", []string{tokenstest.FateForeign.String(), tokenstest.FateExpired.String()}},
	{"nobody remembers it", []string{"nobody remembers it"}},
	{"sent twice", []string{tokenstest.FateReplay.String()}},
}

// Write writes the table as Markdown: in how many of a thousand runs, each with
// up to a dozen faults, a person had to authorise again.
func (l *Losses) Write(out io.Writer) {
	fmt.Fprint(out, "| an exchange ends the older access token | introspecting a spent token is reuse | a replay kills nothing | a refusal as configuration spends the token | a revocation takes all | runs |")
	for _, c := range lossColumns {
		fmt.Fprintf(out, " %s |", c.title)
	}
	fmt.Fprintf(out, "\n|%s\n", strings.Repeat("---|", 6+len(lossColumns)))
	word := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	for i := range 32 {
		c := combination{i&16 != 0, i&8 != 0, i&4 != 0, i&2 != 0, i&1 != 0}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %d |", word(c.endsOlder), word(c.reuse), word(c.replaySpares), word(c.configSpends), word(c.revokesAll), l.runs[c])
		for _, column := range lossColumns {
			fmt.Fprintf(out, " %.1f |", 1000*float64(l.lost[c][column.title])/float64(max(l.runs[c], 1)))
		}
		fmt.Fprintln(out)
	}
}
