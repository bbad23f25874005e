package main

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// names are the test functions of packages, as they were read.
type names map[string][]string

// of lists those of a package's directory.
func (known names) of(t *testing.T, pkg string) []string {
	t.Helper()
	if found, ok := known[pkg]; ok {
		return found
	}
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				found = append(found, fn.Name.Name)
			}
		}
	}
	known[pkg] = found
	return found
}

func TestEachCaseHasATestThatExistsOrIsForLater(t *testing.T) {
	known := names{}
	for n := 1; n <= lastCase; n++ {
		why, isLater := later[n]
		switch {
		case isLater && len(testsOf[n]) > 0:
			t.Errorf("case %d is for later and has tests", n)
		case isLater && !strings.HasSuffix(why, "."):
			t.Errorf("case %d is for later without a sentence", n)
		case !isLater && len(testsOf[n]) == 0:
			t.Errorf("case %d has no test", n)
		}
		for _, test := range testsOf[n] {
			pkg, name, ok := strings.Cut(test, " ")
			if !ok || !slices.Contains(known.of(t, pkg), name) {
				t.Errorf("case %d: %s has no %s", n, pkg, name)
			}
		}
	}
	if len(testsOf)+len(later) != lastCase {
		t.Errorf("%d cases have tests and %d are for later, of %d", len(testsOf), len(later), lastCase)
	}
}

func TestEachCaseHasAGuardThatIsTakenOut(t *testing.T) {
	covered := map[int]bool{}
	for _, m := range mutants() {
		for _, n := range m.cases {
			covered[n] = true
		}
	}
	for n := range testsOf {
		if !covered[n] {
			t.Errorf("no mutant is of case %d", n)
		}
	}
}

func TestEachMutantHasItsPlaceAndItsTests(t *testing.T) {
	guards, known := map[string]bool{}, names{}
	for _, m := range mutants() {
		t.Run(m.guard, func(t *testing.T) {
			if guards[m.guard] {
				t.Error("two mutants of one name")
			}
			guards[m.guard] = true
			b, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.apply(string(b)); err != nil {
				t.Error(err)
			}
			for _, pattern := range strings.Split(m.tests, "|") {
				if !slices.ContainsFunc(known.of(t, m.pkg), func(name string) bool { return strings.Contains(name, pattern) }) {
					t.Errorf("%s has no test %s", m.pkg, pattern)
				}
			}
		})
	}
}

func TestAGuardThatMovedIsAFault(t *testing.T) {
	m := one("a guard", []int{1}, "a.go", "if x {", "if false {", "./a", "TestA")
	for text, want := range map[string]string{"if x {}": "if false {}", "if y {}": "", "if x {}; if x {}": ""} {
		got, err := m.apply(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
	}
}

// A module of one function and its test shows each verdict.
func TestTheVerdicts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.com/m\n\ngo 1.26\n",
		"m.go":      "package m\n\nfunc Guarded(n int) int {\n\tif n < 0 {\n\t\treturn 0\n\t}\n\treturn n\n}\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\nfunc TestGuarded(t *testing.T) {\n\tif Guarded(-1) != 0 {\n\t\tt.Error(\"negative\")\n\t}\n}\n\nfunc TestBlind(*testing.T) { Guarded(1) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newScratch(dir, []string{"go.mod", "m.go", "m_test.go", "deleted.go"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	for _, c := range []struct {
		old, new, tests string
		want            verdict
	}{
		{"if n < 0 {", "if false {", "TestGuarded", red},
		{"if n < 0 {", "if false {", "TestBlind", green},
		{"if n < 0 {", "if n < {", "TestGuarded", fault},
		{"if n < 1 {", "if false {", "TestGuarded", fault},
		{"if n < 0 {", "if false {", "TestNobody", fault},
	} {
		r := s.try(context.Background(), one(c.old+" "+c.new, []int{1}, "m.go", c.old, c.new, ".", c.tests))
		if r.verdict != c.want {
			t.Errorf("%q to %q under %s is %s, want %s: %s", c.old, c.new, c.tests, r.verdict, c.want, r.said)
		}
		results = append(results, r)
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "m.go")); err != nil || !strings.Contains(string(b), "if n < 0 {") {
		t.Errorf("the copy wasn't put back: %v\n%s", err, b)
	}
	var out strings.Builder
	if err := report(&out, results, 0, true); err == nil {
		t.Error("faults and greens are told as a success")
	}
	if !strings.Contains(out.String(), "5 mutants, 1 red, 1 green, 3 faults of the table") {
		t.Error(out.String())
	}
}

func TestMutantsAreChosenByCaseFileOrGuard(t *testing.T) {
	m := one("a fence", []int{3, 31}, "tokens/x.go", "a", "b", ".", "T")
	for pattern, want := range map[string]bool{"case 3$": true, "case 31": true, "case 1": false, "x.go": true, "fence": true, "": true, "y": false} {
		if got := m.matches(options{only: regexp.MustCompile(pattern)}); got != want {
			t.Errorf("%q: %t", pattern, got)
		}
	}
}
