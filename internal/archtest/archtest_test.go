package archtest_test

import (
	"os"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/archtest"
)

// load reads the repository that this test stands in.
func load(t *testing.T) archtest.Tree {
	t.Helper()
	tree, err := archtest.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	here := func(f archtest.File) bool { return f.Package == "./internal/archtest" && f.Test }
	if !slices.ContainsFunc(tree.Files, here) {
		t.Fatalf("loaded %d files and not this one: the walk began in the wrong place", len(tree.Files))
	}
	return tree
}

func report(t *testing.T, violations []archtest.Violation) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}

func TestNobodyImportsOrUsesWhatTheTableBans(t *testing.T) {
	report(t, archtest.Check(load(t).Files, archtest.Rules()))
}

func TestFilesAreSmall(t *testing.T) {
	report(t, archtest.CheckSizes(load(t).Files, archtest.Sizes()))
}

func TestTheTopLevelIsFixed(t *testing.T) {
	report(t, archtest.CheckTop(load(t).Top, archtest.TopDirs(), archtest.TopFiles(), archtest.TopIgnored()))
}

func TestNoCommentLeavesWorkForLater(t *testing.T) {
	report(t, archtest.CheckMarks(load(t).Files))
}
