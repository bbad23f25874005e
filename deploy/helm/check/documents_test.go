package check_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the chart's README anew")

const (
	tableBegin = "<!-- made from values.yaml by go test -run README -update -->\n"
	tableEnd   = "<!-- end -->"
)

// value is one of values.yaml, with what its comment says.
type value struct{ path, standard, meaning string }

// valuesOf reads the values below a mapping. A value without a comment that
// begins with -- is a group of others.
func valuesOf(t *testing.T, prefix string, n *yaml.Node) []value {
	t.Helper()
	var all []value
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := prefix + k.Value
		if meaning, ok := strings.CutPrefix(lastLine(k.HeadComment), "# -- "); ok {
			var standard any
			if err := v.Decode(&standard); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(standard)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value{path, string(b), meaning})
			continue
		}
		if v.Kind != yaml.MappingNode || len(v.Content) == 0 {
			t.Errorf("%s has no comment that begins with --", path)
		}
		all = append(all, valuesOf(t, path+".", v)...)
	}
	return all
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

func table(t *testing.T) string {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(read(t, filepath.Join(chart, "values.yaml")), &root); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| value | default | meaning |\n|---|---|---|\n")
	for _, v := range valuesOf(t, "", root.Content[0]) {
		standard := "`" + v.standard + "`"
		if v.standard == `""` || v.standard == "[]" || v.standard == "{}" {
			standard = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.path, standard, v.meaning)
	}
	return b.String()
}

func TestTheREADMEHasEveryValue(t *testing.T) {
	path := filepath.Join(chart, "README.md")
	text := string(read(t, path))
	before, rest, ok := strings.Cut(text, tableBegin)
	had, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table of values", path)
	}
	want := table(t)
	if *update {
		if err := os.WriteFile(path, []byte(before+tableBegin+want+tableEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, had); diff != "" {
		t.Errorf("go test -run README -update writes it anew (-want +have):\n%s", diff)
	}
}

// open are objects whose keys the schema can't know.
var open = map[string]bool{
	"global": true, "affinity": true, "nodeSelector": true, "podAnnotations": true, "podLabels": true, "apply.resources.apps": true,
	"ca.trustManager.namespaceLabels": true, "monitoring.labels": true, "persistence.annotations": true, "resources.limits": true,
	"resources.requests": true, "service.annotations": true, "serviceAccount.annotations": true,
}

func TestTheSchemaKnowsEveryValueAndNoOther(t *testing.T) {
	var schema, values map[string]any
	if err := json.Unmarshal(read(t, filepath.Join(chart, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if err := kyaml.Unmarshal(read(t, filepath.Join(chart, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	compareKeys(t, "", schema, values)
}

func compareKeys(t *testing.T, path string, schema, values map[string]any) {
	t.Helper()
	properties, closed := schema["properties"].(map[string]any)
	if !closed || schema["additionalProperties"] != false {
		t.Errorf("the schema lets any key into %q", path)
	}
	for key, v := range values {
		at := strings.TrimPrefix(path+"."+key, ".")
		s, ok := properties[key].(map[string]any)
		switch inner, isMap := v.(map[string]any); {
		case !ok:
			t.Errorf("the schema lacks %s", at)
		case isMap && !open[at] && at != "settings":
			compareKeys(t, at, s, inner)
		}
	}
	for key := range properties {
		if _, ok := values[key]; !ok && path != "settings" && !open[strings.TrimPrefix(path+"."+key, ".")] {
			t.Errorf("values.yaml lacks %s.%s", path, key)
		}
	}
}
