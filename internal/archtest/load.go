package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

var (
	version = regexp.MustCompile(`^v[0-9]+$`)
	marks   = regexp.MustCompile(`\b(TODO|FIXME)\b|^//\s?nolint\b`)
)

// Load reads every Go file under the root of root, except those in testdata
// and in directories that start with a dot or an underscore. It fails on the
// first file that cannot be read or parsed.
func Load(root fs.FS) (Tree, error) {
	var t Tree
	top, err := fs.ReadDir(root, ".")
	if err != nil {
		return Tree{}, fmt.Errorf("reading the top level: %w", err)
	}
	for _, e := range top {
		t.Top = append(t.Top, Entry{Name: e.Name(), Dir: e.IsDir()})
	}
	err = fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if e.IsDir() {
			if name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parse(name, src)
		if err != nil {
			return err
		}
		t.Files = append(t.Files, f)
		return nil
	})
	if err != nil {
		return Tree{}, fmt.Errorf("loading Go files: %w", err)
	}
	return t, nil
}

func parse(name string, src []byte) (File, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	f := File{
		Path:    name,
		Package: own(path.Join(Module, path.Dir(name))),
		Test:    strings.HasSuffix(name, "_test.go"),
		Lines:   bytes.Count(src, []byte{'\n'}),
	}
	line := func(p token.Pos) int { return set.Position(p).Line }

	local := map[string]string{} // the name in this file → import path
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.Imports = append(f.Imports, Ref{own(p), line(spec.Pos())})
		local[localName(spec, p)] = p
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			f.Names = append(f.Names, Ref{n.Sel.Name, line(n.Sel.Pos())})
			if x, ok := n.X.(*ast.Ident); ok {
				from := x.Name
				if p, ok := local[from]; ok {
					from = p
				}
				f.Uses = append(f.Uses, Ref{from + "." + n.Sel.Name, line(n.Pos())})
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				f.Names = append(f.Names, Ref{key.Name, line(key.Pos())})
			}
		}
		return true
	})
	for _, group := range syntax.Comments {
		for _, c := range group.List {
			if m := marks.FindString(c.Text); m != "" {
				f.Marks = append(f.Marks, Ref{m, line(c.Pos())})
			}
		}
	}
	return f, nil
}

// own writes a path of the main module as "./…" and leaves others alone.
func own(p string) string {
	if p == Module {
		return "."
	}
	if rest, ok := strings.CutPrefix(p, Module+"/"); ok {
		return "./" + rest
	}
	return p
}

// localName guesses the name that an import has in its file: the one it was
// given, else the last element of its path that is not a version. The guess
// is right for every package that a rule names.
func localName(spec *ast.ImportSpec, p string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	base := path.Base(p)
	if version.MatchString(base) && path.Dir(p) != "." {
		base = path.Base(path.Dir(p))
	}
	return base
}
