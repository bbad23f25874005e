package check

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Tree is every directory with .tf files, by its slash-separated path.
type Tree map[string]*Module

// Module is the .tf files of one directory.
type Module struct {
	Dir    string
	blocks hclsyntax.Blocks // of all files, by name of file
}

// Load reads every .tf file under root, except in directories that start with a
// dot. It fails with the first file that can't be read or isn't HCL.
func Load(root fs.FS) (Tree, error) {
	t := Tree{}
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() || path.Ext(name) != ".tf":
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		if diags.HasErrors() {
			return fmt.Errorf("reading HCL: %w", diags)
		}
		dir := path.Dir(name)
		if t[dir] == nil {
			t[dir] = &Module{Dir: dir}
		}
		t[dir].blocks = append(t[dir].blocks, file.Body.(*hclsyntax.Body).Blocks...) // what ParseConfig always makes
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Modules are those whose directory is under one of dirs, or is it; all of them
// where none is given.
func (t Tree) Modules(dirs ...string) []*Module {
	var out []*Module
	for _, dir := range slices.Sorted(maps.Keys(t)) {
		under := func(d string) bool { return dir == d || strings.HasPrefix(dir, d+"/") }
		if len(dirs) == 0 || slices.ContainsFunc(dirs, under) {
			out = append(out, t[dir])
		}
	}
	return out
}

// Blocks are the blocks of a type, such as "variable"; with labels, those whose
// labels begin with them. A nil Module has none.
func (m *Module) Blocks(kind string, labels ...string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	if m == nil {
		return nil
	}
	for _, b := range m.blocks {
		if b.Type == kind && len(b.Labels) >= len(labels) && slices.Equal(b.Labels[:len(labels)], labels) {
			out = append(out, b)
		}
	}
	return out
}

// names are the first labels of the blocks of a type, sorted.
func (m *Module) names(kind string) []string {
	var out []string
	for _, b := range m.Blocks(kind) {
		out = append(out, b.Labels[0])
	}
	slices.Sort(out)
	return out
}
