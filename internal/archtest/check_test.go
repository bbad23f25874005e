package archtest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/archtest"
)

func bans(violations []archtest.Violation) []string {
	var out []string
	for _, v := range violations {
		out = append(out, v.Path+" "+v.Ban)
	}
	return out
}

func TestSizeLimitsFire(t *testing.T) {
	limits := archtest.Limits{Most: 10, Percentile90: 9, Median: 5, Files: map[string]int{"main.go": 3}}
	sized := func(path string, lines int) archtest.File { return archtest.File{Path: path, Lines: lines} }
	repeat := func(n, lines int) []archtest.File {
		var out []archtest.File
		for range n {
			out = append(out, sized("a.go", lines))
		}
		return out
	}
	cases := []struct {
		name  string
		files []archtest.File
		want  []string
	}{
		{"small files pass", repeat(10, 4), nil},
		{"one file is too long", append(repeat(10, 4), sized("long.go", 11)), []string{"long.go most"}},
		{"a file at the limit passes", append(repeat(10, 4), sized("long.go", 10)), nil},
		{"a file has a limit of its own", append(repeat(10, 2), sized("main.go", 4)), []string{"main.go most"}},
		{"the median is too long", repeat(10, 5), []string{". median"}},
		{"the longest tenth is too long", append(repeat(8, 1), repeat(2, 9)...), []string{". 90th percentile"}},
		{"no files at all", nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, bans(archtest.CheckSizes(c.files, limits))); diff != "" {
				t.Errorf("limits that fired (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTopLevelFires(t *testing.T) {
	dir := func(name string) archtest.Entry { return archtest.Entry{Name: name, Dir: true} }
	file := func(name string) archtest.Entry { return archtest.Entry{Name: name} }
	cases := []struct {
		name string
		top  []archtest.Entry
		want []string
	}{
		{"as it should be", []archtest.Entry{dir("cmd"), dir(".git"), dir("bin"), file("go.mod"), file(".gitignore")}, nil},
		{"another directory", []archtest.Entry{dir("cmd"), dir("pkg")}, []string{"pkg extra"}},
		{"another file", []archtest.Entry{dir("cmd"), file("NOTES")}, []string{"NOTES extra"}},
		{"a file where a directory belongs", []archtest.Entry{file("cmd")}, []string{"cmd extra", "cmd missing"}},
		{"a directory is missing", nil, []string{"cmd missing"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := bans(archtest.CheckTop(c.top, []string{"cmd"}, []string{"go.mod"}, []string{"bin"}))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarksFire(t *testing.T) {
	word := func(comment string) string { return "package x\n\n" + comment + "\nvar _ = 0\n" }
	cases := []struct {
		name, file, comment string
		want                []string
	}{
		{"work left for later", "a.go", "// TO" + "DO: later", []string{"a.go TO" + "DO"}},
		{"a known fault", "a.go", "/* FIX" + "ME */", []string{"a.go FIX" + "ME"}},
		{"a test may plan", "a_test.go", "// TO" + "DO: more cases", nil},
		{"part of another word", "a.go", "// see method TO" + "DOs", nil},
		{"the linter told to look away", "a.go", "//nolint:all", []string{"a.go nolint"}},
		{"in a test as well", "a_test.go", "// nolint", []string{"a_test.go nolint"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := bans(archtest.CheckMarks(parse(t, map[string]string{c.file: word(c.comment)}).Files))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadSeesEveryFileButTestdata(t *testing.T) {
	tree := parse(t, map[string]string{
		"go.mod":                 "module m\n",
		"a.go":                   "//go:build windows\n\npackage x\n",
		"internal/deep/b.go":     "package x\n",
		"internal/testdata/c.go": "not Go",
		".hidden/d.go":           "not Go",
	})
	var got []string
	for _, f := range tree.Files {
		got = append(got, f.Package+" "+f.Path)
	}
	if diff := cmp.Diff([]string{". a.go", "./internal/deep internal/deep/b.go"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLoadFailsOnWhatItCannotParse(t *testing.T) {
	_, err := archtest.Load(fstest.MapFS{"a.go": &fstest.MapFile{Data: []byte("no package here\n")}})
	if err == nil || !strings.Contains(err.Error(), "a.go") {
		t.Errorf("Load = %v, want an error that names a.go", err)
	}
}

func TestAViolationSaysWhereWhatAndWhy(t *testing.T) {
	v := archtest.Violation{Path: "tokens/a.go", Line: 3, What: "./tokens imports net/http", Why: "it outlives its adapters"}
	if got, want := v.String(), "tokens/a.go:3: ./tokens imports net/http: it outlives its adapters"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
