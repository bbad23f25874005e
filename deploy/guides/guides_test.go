// Package guides_test holds the guides for operators against the product: all
// that they name must exist, and, with the build tag live, each is followed,
// command by command, beside a simulated Salesforce.
package guides_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// guides are the files here but for the index.
func guides(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) < 2 {
		t.Fatalf("found no guides: %v", err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "README.md" })
}

var given = flag.String("binary", "", "the sallyport that the guides are held against; without it one is built")

// binary is that sallyport, built once.
var binary = sync.OnceValues(func() (string, error) {
	if *given != "" {
		return filepath.Abs(*given)
	}
	dir, err := os.MkdirTemp("", "guides")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sallyport")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../../cmd/sallyport").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build sallyport: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil && *given == "" {
		_ = os.RemoveAll(filepath.Dir(path)) // a directory in the way of nobody
	}
	os.Exit(code)
}

func TestTheIndexNamesEveryGuide(t *testing.T) {
	index := read(t, "README.md")
	for _, f := range guides(t) {
		if !strings.Contains(index, "]("+f+")") {
			t.Errorf("README.md doesn't lead to %s", f)
		}
		if n := strings.Count(read(t, f), "\n"); n < 40 || n > 120 {
			t.Errorf("%s has %d lines, want 40 to 120", f, n)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, f := range append(guides(t), "README.md") {
		for _, m := range link.FindAllStringSubmatch(read(t, f), -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

// TestEveryVariableIsRead holds the names of settings against the source of
// package config, which names those of the commands too.
func TestEveryVariableIsRead(t *testing.T) {
	files, err := filepath.Glob("../../config/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no source of package config: %v", err)
	}
	source := ""
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			source += read(t, f)
		}
	}
	for _, f := range append(guides(t), "README.md") {
		text := strings.ReplaceAll(read(t, f), `"errorCode":"SALLYPORT_`, "") // what clients get, in capitals too
		text = strings.ReplaceAll(text, "SALLYPORT_DRAIN_TIMEOT", "")         // upgrades.md shows what a misspelt one gets
		for _, name := range regexp.MustCompile(`SALLYPORT_[A-Z0-9_]*[A-Z0-9]`).FindAllString(text, -1) {
			short := strings.TrimPrefix(name, "SALLYPORT_")
			if !regexp.MustCompile(`"(SALLYPORT_)?` + short + `[",]`).MatchString(source) {
				t.Errorf("%s names %s, which nothing reads", f, name)
			}
		}
	}
}

// TestEveryMetricIsWatched holds the names of metrics against Prometheus' rules
// and the dashboard, which deploy's own tests hold against a running serve.
func TestEveryMetricIsWatched(t *testing.T) {
	watched := read(t, "../prometheus/rules.yml") + read(t, "../grafana/sallyport.json")
	for _, f := range append(guides(t), "README.md") {
		for _, name := range regexp.MustCompile(`\bsallyport_[a-z_]+`).FindAllString(read(t, f), -1) {
			if !strings.Contains(watched, name) {
				t.Errorf("%s names the metric %s, which neither rules nor dashboard know", f, name)
			}
		}
	}
}

var (
	fence  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	inline = regexp.MustCompile("`(sallyport [^`]+)`")
	call   = regexp.MustCompile(`\bsallyport((?: [a-z][a-z-]*)+)([^|;&)]*)`)
	option = regexp.MustCompile(`--[a-z0-9-]+`)
)

// said are the commands in a text, in blocks and in sentences.
func said(text string) (all []string) {
	for _, b := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(b[1]) {
			line, _, _ = strings.Cut(line, " #")
			line = strings.NewReplacer("setuser sallyport", "", "/sallyport ", "/ ", "-u sallyport", "").Replace(line)
			if c := call.FindString(line); c != "" {
				all = append(all, c)
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestEveryCommandExists asks the binary for the help of each command that a
// guide names: an unknown command or flag has none.
func TestEveryCommandExists(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	helps := map[string]string{}
	help := func(words string) string {
		if h, known := helps[words]; known {
			return h
		}
		out, err := exec.CommandContext(t.Context(), path, append(strings.Fields(words), "--help")...).Output()
		if err != nil {
			out = nil
		}
		helps[words] = string(out)
		return string(out)
	}
	for _, f := range append(guides(t), "README.md") {
		for _, c := range said(read(t, f)) {
			m := call.FindStringSubmatch(c)
			if m == nil {
				t.Errorf("%s: %q names no command", f, c)
				continue
			}
			words := strings.Fields(m[1])
			command := words[0]
			if len(words) > 1 && strings.Contains(help(command), "\nCommands:\n") {
				command += " " + words[1]
			}
			h := help(command)
			if h == "" || strings.Contains(h, "\nCommands:\n") && len(words) > 1 {
				t.Errorf("%s: sallyport %s is no command", f, command)
			}
			for _, flag := range option.FindAllString(c, -1) {
				if !strings.Contains(h, flag) {
					t.Errorf("%s: sallyport %s has no %s", f, command, flag)
				}
			}
		}
	}
}

// TestTheRightsInRedisAreThoseOfTheStore holds the user of redis.md against the
// comment of the package that needs the rights.
func TestTheRightsInRedisAreThoseOfTheStore(t *testing.T) {
	rights := regexp.MustCompile(`-@all( \+[a-z|-]+)+`)
	want := rights.FindString(read(t, "../../tokens/redisstore/doc.go"))
	if got := rights.FindString(read(t, "redis.md")); got != want || want == "" {
		t.Errorf("redis.md gives %q, and the store needs %q", got, want)
	}
}

// TestBlocksOfShellAreShell has bash read every block without running it.
func TestBlocksOfShellAreShell(t *testing.T) {
	for _, f := range append(guides(t), "README.md") {
		for _, b := range fence.FindAllStringSubmatch(read(t, f), -1) {
			cmd := exec.CommandContext(t.Context(), "bash", "-n")
			cmd.Stdin = strings.NewReader(b[1])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", f, err, out, b[1])
			}
		}
	}
}
