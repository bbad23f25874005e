// Package archtest keeps the architecture: who may import whom, which names
// nobody may use, how large a file may grow and what stands at the top level.
//
// Load reads the tree into a small model without compiling it, so files of
// every operating system and of the nested modules are judged alike. The
// checks are pure functions over that model and return every Violation with
// the reason for the ban beside it. The test of this package runs them over
// the repository, and proves each ban once with code that breaks it: a rule
// that never fires looks like a rule that is kept.
package archtest

import (
	"fmt"
	"path"
	"strings"
)

// Module is the path of the main module. Load writes its packages as Go does
// on the command line: "./tokens" for github.com/sallyport/sallyport/tokens.
const Module = "github.com/sallyport/sallyport"

// Tree is what the checks need to know of a repository.
type Tree struct {
	Files []File // every Go file outside testdata, sorted by path
	Top   []Entry
}

// Entry is a file or directory of the top level.
type Entry struct {
	Name string
	Dir  bool
}

// File is one Go file.
type File struct {
	Path    string // slash-separated, from the root: "tokens/broker.go"
	Package string // its directory as an import: "./tokens", or "." for the root
	Test    bool   // its name ends in _test.go
	Lines   int
	Imports []Ref // import paths; those of Module as "./…"
	Uses    []Ref // selected from a package or a variable: "net/http.DefaultClient", "t.Skip"
	Names   []Ref // selectors and literals' keys, whatever they belong to: "InsecureSkipVerify"
	Marks   []Ref // words in comments that say the work is not finished
}

// Ref is something that a file mentions, and the line where it does.
type Ref struct {
	Name string
	Line int
}

// Violation is one broken rule.
type Violation struct {
	Path string
	Line int    // 0: the whole file or directory
	Ban  string // the pattern or limit that fired
	What string // what was found
	Why  string // the reason for the ban
}

// String gives the place, what was found and why it is banned, on one line.
func (v Violation) String() string {
	place := v.Path
	if v.Line > 0 {
		place = fmt.Sprintf("%s:%d", v.Path, v.Line)
	}
	return fmt.Sprintf("%s: %s: %s", place, v.What, v.Why)
}

// matches reports whether an import path or a package fits a pattern. A
// pattern is an exact path, a tree with a trailing "/..." (which includes its
// root, as in Go), or "*suffix", compared with the last element.
func matches(pattern, pkg string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(path.Base(pkg), suffix)
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pkg == pattern
}

func matchesAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}
