package deploy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// ruleFile is the part of Prometheus' rule files that ours uses.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func loadRules(t *testing.T) (records, alerts []rule) {
	t.Helper()
	var f ruleFile
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "prometheus/rules.yml")), &f, yaml.Strict()); err != nil {
		t.Fatalf("rules.yml: %v", err)
	}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			} else {
				records = append(records, r)
			}
		}
	}
	if len(alerts) == 0 || len(records) == 0 {
		t.Fatal("rules.yml has no alerts or no records")
	}
	return records, alerts
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	_, alerts := loadRules(t)
	tests, index := read(t, "prometheus/rules_test.yml"), read(t, "runbooks/README.md")
	used := map[string]bool{"README.md": true}
	seen := map[string]bool{}
	for _, a := range alerts {
		if seen[a.Alert] {
			t.Errorf("two alerts are called %s", a.Alert)
		}
		seen[a.Alert] = true
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		for _, k := range []string{"summary", "description", "runbook"} {
			if a.Annotations[k] == "" {
				t.Errorf("%s has no %s", a.Alert, k)
			}
		}
		name, ok := strings.CutPrefix(a.Annotations["runbook"], "deploy/runbooks/")
		if !ok {
			t.Errorf("%s has its runbook at %q", a.Alert, a.Annotations["runbook"])
			continue
		}
		used[name] = true
		if !strings.Contains(read(t, "runbooks/"+name), "`"+a.Alert+"`") {
			t.Errorf("%s does not speak of %s", name, a.Alert)
		}
		if !strings.Contains(index, "`"+a.Alert+"` | "+a.Labels["severity"]+" | ["+name+"]("+name+")") {
			t.Errorf("the runbooks' README lacks the line of %s, %s, %s", a.Alert, a.Labels["severity"], name)
		}
		if !strings.Contains(tests, `alertname="`+a.Alert+`"`) {
			t.Errorf("no test of promtool expects %s to fire", a.Alert)
		}
	}
	for _, f := range runbooks(t) {
		if !used[f] {
			t.Errorf("no alert leads to %s", f)
		}
	}
}

func runbooks(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("runbooks/*.md")
	if err != nil || len(files) < 2 {
		t.Fatalf("found no runbooks: %v", err)
	}
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return names
}

// TestRunbooksHaveTheSameParts holds each runbook against the order in which
// somebody who was just woken reads.
func TestRunbooksHaveTheSameParts(t *testing.T) {
	want := []string{"What it means", "What callers notice", "Look", "Do", "Don't", "Over when"}
	heading := regexp.MustCompile(`(?m)^## (.*)$`)
	for _, f := range runbooks(t) {
		if f == "README.md" {
			continue
		}
		text := read(t, "runbooks/"+f)
		var got []string
		for _, m := range heading.FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
		if len(commands(text)) == 0 {
			t.Errorf("%s names no command", f)
		}
	}
}

// commands are the command lines in the sh blocks of a text.
func commands(markdown string) (lines []string) {
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(markdown, -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestReadyzSaysWhatTheProbesLookFor holds the blackbox exporter's regular
// expressions against the sentences of /readyz in the source.
func TestReadyzSaysWhatTheProbesLookFor(t *testing.T) {
	probes := read(t, "prometheus/blackbox.yml")
	for sentence, source := range map[string]string{"the store can't be used": "../cmd/sallyport/serve.go", "the journal's disk failed": "../tokens/errors.go"} {
		if !strings.Contains(probes, sentence) || !strings.Contains(read(t, source), sentence) {
			t.Errorf("%q is not in blackbox.yml, or not in %s", sentence, source)
		}
	}
}

// dashboard is the part of Grafana's model that is looked at.
type dashboard struct {
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Annotations   struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID         int                        `json:"id"`
	Type       string                     `json:"type"`
	Title      string                     `json:"title"`
	GridPos    struct{ H, W, X, Y int }   `json:"gridPos"`
	Datasource struct{ Type, UID string } `json:"datasource"`
	Targets    []struct {
		RefID      string                     `json:"refId"`
		Expr       string                     `json:"expr"`
		Datasource struct{ Type, UID string } `json:"datasource"`
	} `json:"targets"`
}

func loadDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	dec := json.NewDecoder(bytes.NewReader([]byte(read(t, "grafana/sallyport.json"))))
	if err := dec.Decode(&d); err != nil {
		t.Fatalf("sallyport.json: %v", err)
	}
	return d
}

func TestDashboardIsWhole(t *testing.T) {
	d := loadDashboard(t)
	if d.SchemaVersion < 36 {
		t.Errorf("schemaVersion %d", d.SchemaVersion)
	}
	var variables, rows []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
	}
	if diff := cmp.Diff([]string{"datasource datasource", "replica query", "org query"}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is || x >= 24 {
					t.Fatalf("%q lies on %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for _, g := range p.Targets {
			if p.Datasource.UID != "${datasource}" || g.Datasource.UID != "${datasource}" {
				t.Errorf("%q is bound to a data source of its own", p.Title)
			}
			if !strings.Contains(g.Expr, "$replica") {
				t.Errorf("%q heeds no choice of replicas: %s", p.Title, g.Expr)
			}
		}
	}
	want := []string{"Calls and overhead", "Exchanges and races", "Doubts and states", "Idle time left", "Egress", "Store and locks", "API limits"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestFilesThatAreNamedExist follows the links of the runbooks and of the
// README here.
func TestFilesThatAreNamedExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	files := []string{"README.md"}
	for _, f := range runbooks(t) {
		files = append(files, "runbooks/"+f)
	}
	for _, f := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, f), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), m[1])); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}
