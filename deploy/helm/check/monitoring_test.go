package check_test

import (
	"regexp"
	"slices"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
)

// The rules expect the job sallyport, and sallyport-readyz with a label probe
// for each module of the blackbox exporter.
func TestMonitorsMakeTheJobsThatTheRulesExpect(t *testing.T) {
	gateway := renderSet(t, "gateway-redis")
	sidecar := renderSet(t, "sidecar-redis")
	service := only[*monitoring.ServiceMonitor](t, gateway).Spec
	for what, relabelings := range map[string][][]monitoring.RelabelConfig{
		"gateway": relabelings(service.Endpoints, func(e monitoring.Endpoint) []monitoring.RelabelConfig { return e.RelabelConfigs }),
		"sidecar": relabelings(only[*monitoring.PodMonitor](t, sidecar).Spec.PodMetricsEndpoints,
			func(e monitoring.PodMetricsEndpoint) []monitoring.RelabelConfig { return e.RelabelConfigs }),
	} {
		var jobs, probes []string
		for _, r := range relabelings {
			jobs, probes = append(jobs, target(r, "job")), append(probes, target(r, "probe"))
		}
		if want := []string{"sallyport", "sallyport-readyz", "sallyport-readyz", "sallyport-readyz", "sallyport-readyz"}; !slices.Equal(jobs, want) {
			t.Errorf("%s: the jobs are %v", what, jobs)
		}
		if want := []string{"", "ready", "degraded", "store", "journal"}; !slices.Equal(probes, want) {
			t.Errorf("%s: the probes are %v", what, probes)
		}
	}
	modules := regexp.MustCompile(`(?m)^  (sallyport_[a-z]+):$`).FindAllSubmatch(read(t, "../../prometheus/blackbox.yml"), -1)
	for i, m := range modules {
		if got := service.Endpoints[i+1].Params["module"]; !slices.Equal(got, []string{string(m[1])}) {
			t.Errorf("the probe %d asks for the module %v, blackbox.yml has %s", i, got, m[1])
		}
	}
	services := 0
	for _, o := range gateway {
		s, ok := o.typed.(*corev1.Service)
		if !ok {
			continue
		}
		chosen := true
		for k, v := range service.Selector.MatchLabels {
			chosen = chosen && s.Labels[k] == v
		}
		if chosen {
			services++
			if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == service.Endpoints[0].Port }) {
				t.Errorf("the Service %s has no port %s", s.Name, service.Endpoints[0].Port)
			}
		}
	}
	if services != 1 {
		t.Errorf("%d Services are scraped: each replica must be once", services)
	}
	chosen := only[*monitoring.PodMonitor](t, sidecar).Spec.Selector.MatchLabels
	for k, v := range chosen {
		if pods(t, sidecar)[0].labels[k] != v {
			t.Errorf("the PodMonitor looks for %s=%s", k, v)
		}
	}
}

func relabelings[E any](endpoints []E, of func(E) []monitoring.RelabelConfig) [][]monitoring.RelabelConfig {
	var all [][]monitoring.RelabelConfig
	for _, e := range endpoints {
		all = append(all, of(e))
	}
	return all
}

// target is what a label is replaced with.
func target(all []monitoring.RelabelConfig, label string) string {
	for _, r := range all {
		if r.TargetLabel == label && r.Replacement != nil {
			return *r.Replacement
		}
	}
	return ""
}
