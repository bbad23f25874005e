package model_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	modelFile = "rotation.pml"
	tableFile = "table.txt"
)

// environment is what may happen in one run of the model.
type environment struct {
	name    string
	defines map[string]string
}

// mutation is a run with one rule left out.
type mutation struct {
	rule  string
	in    string // an environment
	check string // that must fail
	where string // the rule is in the code
}

type table struct {
	defaults     map[string]string
	environments []environment
	mutations    []mutation
}

func readTable(t *testing.T) table {
	t.Helper()
	var tab table
	for i, line := range strings.Split(read(t, tableFile), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		for j := range f {
			f[j] = strings.TrimSpace(f[j])
		}
		switch {
		case f[0] == "default" && len(f) == 2:
			tab.defaults = defines(t, f[1])
		case f[0] == "environment" && len(f) == 4:
			tab.environments = append(tab.environments, environment{f[1], defines(t, f[2])})
		case f[0] == "mutation" && len(f) == 5:
			tab.mutations = append(tab.mutations, mutation{f[1], f[2], f[3], f[4]})
		default:
			t.Fatalf("%s:%d: not a line of the table: %q", tableFile, i+1, line)
		}
	}
	return tab
}

func defines(t *testing.T, s string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, d := range strings.Fields(s) {
		k, v, ok := strings.Cut(d, "=")
		if _, twice := m[k]; !ok || twice {
			t.Fatalf("%s: %q is no definition, or a second one", tableFile, d)
		}
		m[k] = v
	}
	return m
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (tab table) environment(name string) (environment, bool) {
	i := slices.IndexFunc(tab.environments, func(e environment) bool { return e.name == name })
	if i < 0 {
		return environment{}, false
	}
	return tab.environments[i], true
}

func TestTheTableIsWhole(t *testing.T) {
	tab, src := readTable(t), read(t, modelFile)
	if len(tab.environments) < 10 || len(tab.mutations) < 10 {
		t.Errorf("%d environments and %d mutations, want ten of each", len(tab.environments), len(tab.mutations))
	}
	seen := map[string]bool{}
	for _, e := range tab.environments {
		if seen[e.name] {
			t.Errorf("two environments are called %s", e.name)
		}
		seen[e.name] = true
		for k := range e.defines {
			if _, ok := tab.defaults[k]; !ok {
				t.Errorf("environment %s sets %s, which has no default", e.name, k)
			}
		}
	}
	m := regexp.MustCompile(`(?s)mtype:rule = \{(.*?)\}`).FindStringSubmatch(src)
	if m == nil {
		t.Fatalf("%s lists no rules", modelFile)
	}
	rules := map[string]int{}
	for _, r := range regexp.MustCompile(`\w+`).FindAllString(m[1], -1) {
		rules[r] = 0
	}
	delete(rules, tab.defaults["MUT"])
	checks := map[string]bool{}
	for _, c := range regexp.MustCompile(`"VIOLATION (\w+): `).FindAllStringSubmatch(src, -1) {
		checks[c[1]] = true
	}
	for _, u := range tab.mutations {
		if _, ok := rules[u.rule]; !ok {
			t.Errorf("mutation %s leaves out a rule that the model doesn't have", u.rule)
		}
		rules[u.rule]++
		if _, ok := tab.environment(u.in); !ok {
			t.Errorf("mutation %s runs in %s, which is no environment", u.rule, u.in)
		}
		if !checks[u.check] {
			t.Errorf("mutation %s is to be caught by %s, which is no check of the model", u.rule, u.check)
		}
	}
	for r, n := range rules {
		if n == 0 {
			t.Errorf("no mutation leaves out %s", r)
		}
		if !strings.Contains(src, "without("+r+")") {
			t.Errorf("nothing in the model asks whether %s is left out", r)
		}
	}
}
