package check_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	kyaml "sigs.k8s.io/yaml"
)

// The chart needs a copy of the rules, since a template reads only what is
// below its chart.
func TestTheRulesAreTheRepositorys(t *testing.T) {
	original := read(t, "../../prometheus/rules.yml")
	if !bytes.Equal(original, read(t, filepath.Join(chart, "files", "rules.yml"))) {
		t.Error("the chart's files/rules.yml isn't deploy/prometheus/rules.yml: cp it")
	}
	var want monitoring.PrometheusRuleSpec
	if err := kyaml.UnmarshalStrict(original, &want); err != nil {
		t.Fatal(err)
	}
	got := only[*monitoring.PrometheusRule](t, renderSet(t, "gateway-redis"))
	if diff := cmp.Diff(want, got.Spec); diff != "" || len(want.Groups) == 0 {
		t.Errorf("what is rendered isn't what was tested (-original +rendered):\n%s", diff)
	}
}

// The Pod that moves the grants to Redis is followed by hand, once, with all
// that is at stake.
func TestTheREADMEsPodIsOneOfOurs(t *testing.T) {
	_, rest, ok := strings.Cut(string(read(t, filepath.Join(chart, "README.md"))), "```yaml\napiVersion: v1\nkind: Pod\n")
	if !ok {
		t.Fatal("the README has no Pod")
	}
	text, _, _ := strings.Cut("apiVersion: v1\nkind: Pod\n"+rest, "```")
	got := only[*corev1.Pod](t, decode(t, text)).Spec
	all := renderSet(t, "gateway-redis")
	want := pods(t, all)[0]
	if what := wrong(pod{spec: got, our: want.our}); len(what) > 0 {
		t.Errorf("its Pod: %v", what)
	}
	rendered := map[string]corev1.EnvVar{}
	for _, e := range want.our.Env {
		rendered[e.Name] = e
	}
	for _, e := range got.Containers[0].Env {
		if diff := cmp.Diff(rendered[e.Name], e); diff != "" {
			t.Errorf("%s is another than the gateway's:\n%s", e.Name, diff)
		}
	}
	if got.Containers[0].Image != want.our.Image || *got.SecurityContext.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
		t.Errorf("it is %s with %v", got.Containers[0].Image, got.SecurityContext)
	}
}
