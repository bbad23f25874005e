package check_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	helm   = flag.String("helm", "", "the helm binary; check.sh builds it")
	binary = flag.String("binary", "", "the sallyport binary")
)

// chart is the chart's directory.
const chart = "../sallyport"

// oldest is the first version of Kubernetes that the chart is for.
const oldest = "1.30.0"

// valueSets are the names of the files in the chart's ci directory, and what
// each is to render.
var valueSets = map[string][]string{
	"minimal": {"ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet"},
	"gateway-embedded": {
		"ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet",
	},
	"gateway-redis": {
		"Bundle", "ConfigMap", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule",
		"Service", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
	},
	"gateway-sentinel":           {"NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet"},
	"sidecar-redis":              {"ConfigMap", "Deployment", "PodMonitor", "PrometheusRule"},
	"sidecar-client-credentials": {"ConfigMap", "Deployment"},
}

func sets() []string { return slices.Sorted(maps.Keys(valueSets)) }

func valuesFile(set string) string { return filepath.Join(chart, "ci", set+"-values.yaml") }

// run runs a program and returns its output, and what it said on stderr when it
// failed.
func run(t *testing.T, env []string, name string, args ...string) (stdout, failure string) {
	t.Helper()
	if name == "" {
		t.Fatal("run deploy/helm/check.sh BINARY, which gives -helm and -binary")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, env
	if err := cmd.Run(); err != nil {
		return out.String(), errs.String() + err.Error()
	}
	return out.String(), ""
}

// helmEnv keeps helm away from what the person who runs the tests has set up.
func helmEnv(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	return append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
}

// template renders dir as a release named acme in the namespace sf.
func template(t *testing.T, dir string, args ...string) (manifests, refusal string) {
	t.Helper()
	return run(t, helmEnv(t), *helm, append([]string{"template", "acme", dir, "--namespace", "sf", "--kube-version", oldest}, args...)...)
}

// rendered are manifests by the arguments that made them.
var rendered sync.Map

// renderSet renders a value set with changes, once.
func renderSet(t *testing.T, set string, args ...string) []object {
	t.Helper()
	key := strings.Join(append([]string{set}, args...), "\x00")
	out, ok := rendered.Load(key)
	if !ok {
		manifests, refusal := template(t, chart, append([]string{"--values", valuesFile(set)}, args...)...)
		if refusal != "" {
			t.Fatalf("%s: %s", set, refusal)
		}
		out, _ = rendered.LoadOrStore(key, manifests)
	}
	text, _ := out.(string) // nothing else is stored
	return decode(t, text)
}

func TestEveryValueSetRendersWhatItIsFor(t *testing.T) {
	for _, set := range sets() {
		var kinds []string
		for _, o := range renderSet(t, set) {
			kinds = append(kinds, o.kind)
			if o.namespace != "" {
				t.Errorf("%s: %s %s names a namespace: it goes into the release's", set, o.kind, o.name)
			}
		}
		slices.Sort(kinds)
		if want := valueSets[set]; !slices.Equal(kinds, want) {
			t.Errorf("%s renders %v, want %v", set, kinds, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*.yaml"))
	if err != nil || len(files) != len(valueSets) {
		t.Errorf("the chart's ci directory has %d files, these tests know %d (%v)", len(files), len(valueSets), err)
	}
}

func TestThePackageHasTheRulesAndNoTestValues(t *testing.T) {
	dir := t.TempDir()
	said, failure := run(t, helmEnv(t), *helm, "package", chart, "--destination", dir)
	if failure != "" {
		t.Fatal(failure)
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "sallyport-*.tgz")) // the pattern is sound
	if len(packages) != 1 {
		t.Fatalf("helm package made %v: %s", packages, said)
	}
	files, failure := run(t, nil, "/bin/tar", "-tzf", packages[0])
	if failure != "" {
		t.Fatal(failure)
	}
	for _, want := range []string{"Chart.yaml", "README.md", "values.schema.json", "files/rules.yml", "templates/_sidecar.tpl", "templates/NOTES.txt"} {
		if !strings.Contains(files, "sallyport/"+want+"\n") {
			t.Errorf("the package lacks %s", want)
		}
	}
	if strings.Contains(files, "/ci/") {
		t.Error("the package has the value sets of the tests")
	}
}
