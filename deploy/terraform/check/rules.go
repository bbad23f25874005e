package check

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Violation is one broken rule.
type Violation struct {
	Rule string
	At   string // a file and line, or a directory
	What string
}

// String is the violation on one line.
func (v Violation) String() string { return fmt.Sprintf("%s: %s (%s)", v.At, v.What, v.Rule) }

// Rule is what must hold of a tree.
type Rule struct {
	Name  string // a sentence that the modules must keep
	check func(t Tree, say func(at, what string, args ...any))
}

// Check returns what of t breaks r.
func (r Rule) Check(t Tree) []Violation {
	var out []Violation
	r.check(t, func(at, what string, args ...any) {
		out = append(out, Violation{r.Name, at, fmt.Sprintf(what, args...)})
	})
	return out
}

// Rules are all of them.
func Rules() []Rule {
	return []Rule{
		{"an address can't be destroyed by accident", addressesKept},
		{"every address is registered", addressesRegistered},
		{"nobody is let in from everywhere", noOpenIngress},
		{"a variable says what it takes", variablesDocumented},
		{"a variable refuses what it can't take", variablesValidated},
		{"an output says what it is", outputsDocumented},
		{"the clouds have the same outputs", sameOutputs},
		{"by default one gateway has one address, and a spare", oneByDefault},
		{"a module configures no provider", noProviders},
		{"versions have an upper bound", versionsPinned},
		{"logic needs no provider", logicIsFree},
		{"each cloud has an example", examplesThere},
	}
}

// clouds are the directories of the modules for a cloud.
func clouds() []string { return []string{"aws", "azure", "gcp"} }

func at(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }
