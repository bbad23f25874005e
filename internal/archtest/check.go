package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Rule bans imports and names to a set of packages. Of, Except and Imports
// hold patterns: an exact path, a tree ("./proxy/..."), or the end of the last
// element ("*test"). Uses and Names are compared with those of File as they are.
type Rule struct {
	Of      []string // the packages that the rule binds
	Except  []string // and those among them that it does not
	Imports []string
	Uses    []string
	Names   []string
	Where   Where
	Why     string
}

// Where says which files of a package a rule binds.
type Where int

// The zero value binds what is shipped; tests may know more than the product.
const (
	Shipped Where = iota // files other than _test.go
	Tests                // _test.go files only
	All
)

func (w Where) binds(test bool) bool {
	return w == All || (w == Tests) == test
}

// Check returns every violation of rules in files. A package importing itself
// (an external test does) is never one.
func Check(files []File, rules []Rule) []Violation {
	var out []Violation
	for _, f := range files {
		for _, r := range rules {
			if !r.Where.binds(f.Test) || !matchesAny(r.Of, f.Package) || matchesAny(r.Except, f.Package) {
				continue
			}
			out = append(out, r.check(f)...)
		}
	}
	return out
}

func (r Rule) check(f File) []Violation {
	var out []Violation
	for _, ban := range r.Imports {
		for _, i := range f.Imports {
			if i.Name != f.Package && matches(ban, i.Name) {
				out = append(out, Violation{f.Path, i.Line, ban, f.Package + " imports " + i.Name, r.Why})
			}
		}
	}
	for _, ban := range r.Uses {
		for _, u := range f.Uses {
			if u.Name == ban {
				out = append(out, Violation{f.Path, u.Line, ban, f.Package + " uses " + u.Name, r.Why})
			}
		}
	}
	for _, ban := range r.Names {
		for _, n := range f.Names {
			if n.Name == ban {
				out = append(out, Violation{f.Path, n.Line, ban, f.Package + " uses " + n.Name, r.Why})
			}
		}
	}
	return out
}

// Limits are the sizes of Go files, in lines.
type Limits struct {
	Most, Percentile90, Median int
	Files                      map[string]int // a limit of its own for one path
}

// CheckSizes returns the files that are longer than allowed, and one
// violation each if the median or the 90th percentile of all are. The two
// are exclusive bounds, as the house rules state them.
func CheckSizes(files []File, l Limits) []Violation {
	const why = "a file is read whole: split it by what it knows"
	var out []Violation
	var sizes []int
	for _, f := range files {
		sizes = append(sizes, f.Lines)
		limit := l.Most
		if own, ok := l.Files[f.Path]; ok {
			limit = own
		}
		if f.Lines > limit {
			out = append(out, Violation{f.Path, 0, "most", fmt.Sprintf("%d lines, at most %d", f.Lines, limit), why})
		}
	}
	if len(sizes) == 0 {
		return out
	}
	slices.Sort(sizes)
	if m := sizes[len(sizes)/2]; m >= l.Median {
		out = append(out, Violation{".", 0, "median", fmt.Sprintf("the median file has %d lines, under %d allowed", m, l.Median), why})
	}
	if p := sizes[len(sizes)*9/10]; p >= l.Percentile90 {
		out = append(out, Violation{".", 0, "90th percentile", fmt.Sprintf("the 90th percentile is %d lines, under %d allowed", p, l.Percentile90), why})
	}
	return out
}

// CheckTop returns what stands at the top level and may not, and what must
// and does not. Names that start with a dot are free; ignored holds what
// builds leave behind.
func CheckTop(top []Entry, dirs, files, ignored []string) []Violation {
	const why = "the top level is the map of the house: it is fixed"
	var out []Violation
	seen := map[string]bool{}
	for _, e := range top {
		if strings.HasPrefix(e.Name, ".") || slices.Contains(ignored, e.Name) {
			continue
		}
		allowed := files
		if e.Dir {
			allowed = dirs
			seen[e.Name] = true
		}
		if !slices.Contains(allowed, e.Name) {
			out = append(out, Violation{e.Name, 0, "extra", "not one of " + strings.Join(allowed, " "), why})
		}
	}
	for _, d := range dirs {
		if !seen[d] {
			out = append(out, Violation{d, 0, "missing", "this directory is missing", why})
		}
	}
	return out
}

// CheckMarks returns the comments that say that work is not finished, and
// those that tell the linter to look away.
func CheckMarks(files []File) []Violation {
	var out []Violation
	for _, f := range files {
		for _, m := range f.Marks {
			nolint := strings.Contains(m.Name, "nolint")
			switch {
			case nolint:
				out = append(out, Violation{f.Path, m.Line, "nolint", "the comment " + m.Name, "mend the finding, or the rule in .golangci.yml for everyone"})
			case !f.Test:
				out = append(out, Violation{f.Path, m.Line, m.Name, "the comment " + m.Name, "what ships is finished; what is missing is told in the README"})
			}
		}
	}
	return out
}
