package archtest_test

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/archtest"
)

// parse loads files written as path → source.
func parse(t *testing.T, files map[string]string) archtest.Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	tree, err := archtest.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// breach writes the smallest file of a package that breaks one ban. Patterns
// are made concrete: a tree is entered by one of its subpackages.
func breach(r archtest.Rule, of, importPath, use, name string) (file, src string) {
	dir := strings.TrimPrefix(of, "./")
	if root, tree := strings.CutSuffix(dir, "..."); tree {
		dir = path.Join(root, "sub")
	}
	file = path.Join(dir, "x.go")
	if r.Where == archtest.Tests {
		file = path.Join(dir, "x_test.go")
	}
	switch {
	case importPath != "":
		p := strings.Replace(importPath, "./", archtest.Module+"/", 1)
		p = strings.TrimSuffix(p, "/...")
		if p == archtest.Module || p == archtest.Module+"/tokens" {
			p = archtest.Module + "/tokens/other"
		}
		src = fmt.Sprintf("package x\n\nimport _ %q\n", p)
	case use != "":
		dot := strings.LastIndex(use, ".")
		from, sel := use[:dot], use[dot+1:]
		if len(from) == 1 { // a variable, such as t of a test
			return file, fmt.Sprintf("package x\n\nfunc f(%s T) { %s.%s() }\n", from, from, sel)
		}
		src = fmt.Sprintf("package x\n\nimport named %q\n\nvar _ = named.%s\n", from, sel)
	default:
		src = fmt.Sprintf("package x\n\nvar _ = config{%s: true}\n", name)
	}
	return file, src
}

// TestEveryBanFires breaks each ban of each rule, once in every package that
// the rule binds, and wants exactly that violation.
func TestEveryBanFires(t *testing.T) {
	for _, r := range archtest.Rules() {
		fires := func(of, ban, file, src string) {
			t.Run(of+" "+ban, func(t *testing.T) {
				found := archtest.Check(parse(t, map[string]string{file: src}).Files, []archtest.Rule{r})
				for _, v := range found {
					if v.Ban == ban {
						if v.Why == "" || v.Line == 0 || v.Path != file {
							t.Errorf("a violation must say where and why: %#v", v)
						}
						return
					}
				}
				t.Errorf("the ban did not fire (%v) on\n%s", found, src)
			})
		}
		for _, of := range r.Of {
			for _, ban := range r.Imports {
				if ban == of {
					continue // a package may import itself
				}
				file, src := breach(r, of, ban, "", "")
				fires(of, ban, file, src)
			}
			for _, ban := range r.Uses {
				file, src := breach(r, of, "", ban, "")
				fires(of, ban, file, src)
			}
			for _, ban := range r.Names {
				file, src := breach(r, of, "", "", ban)
				fires(of, ban, file, src)
			}
		}
	}
}

// TestTheTableOfTheArchitecture spells out the lines of the table as code that
// a person might write, against all rules at once.
func TestTheTableOfTheArchitecture(t *testing.T) {
	const mod = archtest.Module
	imports := func(p string) string { return fmt.Sprintf("package x\n\nimport %q\n", p) }
	cases := []struct {
		name, file, src string
		want            []string // the bans that fire
	}{
		{"the domain speaks no HTTP", "tokens/a.go", imports("net/http"), []string{"net/http"}},
		{"the domain's tests may know its adapters", "tokens/a_test.go", imports(mod + "/tokens/tokenstest"), nil},
		{"the domain knows no adapter", "tokens/a.go", imports(mod + "/tokens/journal"), []string{"./tokens/..."}},
		{"the domain uses telemetry's API", "tokens/a.go", imports("go.opentelemetry.io/otel/trace"), nil},
		{"but not its SDK", "tokens/a.go", imports("go.opentelemetry.io/otel/sdk/trace"), []string{"go.opentelemetry.io/otel/sdk/..."}},
		{"the proxy asks the domain", "proxy/a.go", imports(mod + "/tokens"), nil},
		{"the proxy does not ask Salesforce", "proxy/a.go", imports(mod + "/tokens/salesforce"), []string{"./tokens/salesforce/..."}},
		{"goproxy is the proxy's", "proxy/a.go", imports("github.com/elazarl/goproxy"), nil},
		{"and the benchmark's, as a peer", "internal/bench/a.go", imports("github.com/elazarl/goproxy"), nil},
		{"and nobody else's, not even in a test", "cmd/sallyport/a_test.go", imports("github.com/elazarl/goproxy"), []string{"github.com/elazarl/goproxy/..."}},
		{"a store's external test imports it", "tokens/journal/a_test.go", imports(mod + "/tokens/journal"), nil},
		{"stores do not meet, in tests either", "tokens/boltstore/a_test.go", imports(mod + "/tokens/journal"), []string{"./tokens/journal/..."}},
		{"the simulator shares no code", "internal/sfsim/a.go", imports(mod + "/internal/secret"), []string{"./..."}},
		{"cmd reads the configuration", "cmd/sallyport/a.go", imports(mod + "/config"), nil},
		{"admin does not", "internal/admin/a.go", imports(mod + "/config"), []string{"./config/..."}},
		{"a helper for tests imports testing", "tokens/tokenstest/a.go", imports("testing"), nil},
		{"what ships does not", "config/a.go", imports("testing/fstest"), []string{"testing/..."}},
		{
			"the default client is another way out", "tokens/salesforce/a.go",
			"package x\n\nimport \"net/http\"\n\nvar c = http.DefaultClient\n", []string{"net/http.DefaultClient"},
		},
		{
			"a rename does not hide it", "proxy/a.go",
			"package x\n\nimport h \"net/http\"\n\nvar c = h.DefaultTransport\n", []string{"net/http.DefaultTransport"},
		},
		{
			"a dialler of one's own is too", "proxy/access/a.go",
			"package x\n\nimport \"net\"\n\nvar d = net.Dial\n", []string{"net.Dial"},
		},
		{
			"a store dials its own peer", "tokens/redisstore/a.go",
			"package x\n\nimport \"net\"\n\nvar d = net.Dial\n", nil,
		},
		{
			"goproxy's built-in CA", "proxy/a.go",
			"package x\n\nimport \"github.com/elazarl/goproxy\"\n\nvar a = goproxy.MitmConnect\n", []string{"github.com/elazarl/goproxy.MitmConnect"},
		},
		{
			"a test does not sleep", "cmd/sallyport/a_test.go",
			"package x\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", []string{"time.Sleep"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, v := range archtest.Check(parse(t, map[string]string{c.file: c.src}).Files, archtest.Rules()) {
				got = append(got, v.Ban)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("bans that fired (-want +got):\n%s", diff)
			}
		})
	}
}
