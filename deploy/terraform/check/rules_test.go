package check_test

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/deploy/terraform/check"
)

func load(t *testing.T) check.Tree {
	t.Helper()
	tree, err := check.Load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"aws", "gcp", "azure", "modules/ranges", "modules/pool", "modules/zones", "examples/aws", "examples/gcp", "examples/azure"} {
		if tree[dir] == nil {
			t.Fatalf("no module was found in %s: the walk began in the wrong place", dir)
		}
	}
	return tree
}

func TestTheModulesKeepTheRules(t *testing.T) {
	tree := load(t)
	for _, r := range check.Rules() {
		for _, v := range r.Check(tree) {
			t.Error(v)
		}
	}
}
