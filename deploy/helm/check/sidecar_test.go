package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kyaml "sigs.k8s.io/yaml"
)

// A person who follows `sallyport env --k8s` and one who includes the template
// get the same.
func TestTheAppsEnvironmentIsWhatTheCommandPrints(t *testing.T) {
	dir := t.TempDir()
	authority := newAuthority(t)
	ca, both := filepath.Join(dir, "sallyport-ca.pem"), filepath.Join(dir, "bundle.pem")
	write(t, ca, authority.certificate)
	write(t, both, append(newAuthority(t).certificate, authority.certificate...))
	for _, c := range []struct {
		set  string
		args []string
	}{
		{"sidecar-redis", []string{"billing"}},
		{"sidecar-client-credentials", []string{"--bundle", both}},
	} {
		said, failure := run(t, nil, *binary, append([]string{"env", "--k8s", "--ca", ca}, c.args...)...)
		if failure != "" {
			t.Fatal(failure)
		}
		var want struct {
			Spec corev1.PodSpec `json:"spec"`
		}
		if err := kyaml.UnmarshalStrict([]byte(said), &want); err != nil {
			t.Fatalf("%v in\n%s", err, said)
		}
		p := thePod(t, c.set)
		if diff := cmp.Diff(want.Spec.Containers[0].Env, p.spec.Containers[0].Env); diff != "" {
			t.Errorf("%s: the app's environment (-command +chart):\n%s", c.set, diff)
		}
		if diff := cmp.Diff(want.Spec.Containers[0].VolumeMounts, p.spec.Containers[0].VolumeMounts); diff != "" {
			t.Errorf("%s: the app's mounts (-command +chart):\n%s", c.set, diff)
		}
		if v := p.volume("sallyport-ca"); v == nil || v.ConfigMap == nil || v.ConfigMap.Name != want.Spec.Volumes[0].ConfigMap.Name {
			t.Errorf("%s: the CA is mounted from %v", c.set, v)
		}
	}
}

// It is there before the app's first call and after its last one, and nobody
// outside of the pod reaches it.
func TestTheSidecarSurroundsTheApp(t *testing.T) {
	for _, set := range []string{"sidecar-redis", "sidecar-client-credentials"} {
		p := thePod(t, set)
		if len(p.spec.InitContainers) != 1 || p.our.RestartPolicy == nil || *p.our.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			t.Errorf("%s: it isn't a sidecar that starts first and stops last", set)
		}
		if env := literals(p.our); env["SALLYPORT_LISTEN"] != "127.0.0.1:3128" {
			t.Errorf("%s: it listens on %s", set, env["SALLYPORT_LISTEN"])
		}
		for _, c := range p.spec.Containers {
			for _, m := range c.VolumeMounts {
				if m.Name != "sallyport-ca" {
					t.Errorf("%s: %s mounts %s of the sidecar", set, c.Name, m.Name)
				}
			}
		}
	}
}

// A chart of one's own takes this one in as a dependency.
func TestAChartTakesTheSidecarIn(t *testing.T) {
	dir := t.TempDir()
	for from, to := range map[string]string{"testdata/consumer": dir, chart: filepath.Join(dir, "charts", "sallyport")} {
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	out, refusal := template(t, dir)
	if refusal != "" {
		t.Fatal(refusal)
	}
	for _, p := range pods(t, decode(t, out)) {
		for _, what := range wrong(p) {
			t.Error(what)
		}
		if *p.spec.TerminationGracePeriodSeconds < 130 {
			t.Errorf("it is killed after %d s", *p.spec.TerminationGracePeriodSeconds)
		}
	}
	if _, refusal := template(t, dir, "--set", "sallyport.redis.existingSecret="); !strings.Contains(refusal, "a sidecar with a rotating grant needs Redis") {
		t.Errorf("without Redis it says %s", refusal)
	}
}
