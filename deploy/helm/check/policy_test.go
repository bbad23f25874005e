package check_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// wrong lists what a careful cluster would refuse of a pod.
func wrong(p pod) []string {
	var all []string
	is := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	is(p.spec.HostNetwork || p.spec.HostPID || p.spec.HostIPC, "it shares a namespace of the node")
	is(p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken, "it mounts a service account's token")
	is(p.spec.EnableServiceLinks == nil || *p.spec.EnableServiceLinks, "service links bring in variables that begin with SALLYPORT_")
	for _, v := range p.spec.Volumes {
		is(v.HostPath != nil, "the volume %s is the node's", v.Name)
	}
	for _, c := range p.containers() {
		s := c.SecurityContext
		if s == nil {
			all = append(all, c.Name+" has no security context")
			continue
		}
		is(s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0, "%s may be root", c.Name)
		is(s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem, "%s may write to its root", c.Name)
		is(s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation, "%s may gain privileges", c.Name)
		is(s.Privileged != nil && *s.Privileged, "%s is privileged", c.Name)
		is(s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0, "%s keeps capabilities", c.Name)
		is(s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault, "%s has no seccomp profile", c.Name)
		is(c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero(),
			"%s has no memory limit, or asks for nothing", c.Name)
		for _, e := range c.Env {
			is(secretInClear(e), "%s has a secret in the value of %s", c.Name, e.Name)
		}
	}
	is(p.our.SecurityContext != nil && *p.our.SecurityContext.RunAsUser != 65532, "sallyport isn't the image's user")
	for what, probe := range map[string]struct {
		p    *corev1.Probe
		path string
	}{"startup": {p.our.StartupProbe, "/healthz"}, "liveness": {p.our.LivenessProbe, "/healthz"}, "readiness": {p.our.ReadinessProbe, "/readyz"}} {
		is(probe.p == nil || probe.p.HTTPGet == nil || probe.p.HTTPGet.Path != probe.path, "the %s probe doesn't ask %s", what, probe.path)
	}
	return all
}

var (
	secretName  = regexp.MustCompile(`(TOKEN|SECRET|PASSWORD)$`)
	secretInURL = regexp.MustCompile(`://[^/@]*:([^/@]+)@`)
	reference   = regexp.MustCompile(`^\$\([A-Z_]+\)$`)
)

// secretInClear tells a variable that ought to come from a Secret. A reference
// to another variable in a URL is none: the kubelet expands it.
func secretInClear(e corev1.EnvVar) bool {
	if e.ValueFrom != nil {
		return false
	}
	m := secretInURL.FindStringSubmatch(e.Value)
	return secretName.MatchString(e.Name) || m != nil && !reference.MatchString(m[1]) || strings.Contains(e.Value, "PRIVATE KEY")
}

func TestPodsAreLockedDown(t *testing.T) {
	for _, set := range sets() {
		all := renderSet(t, set)
		for _, o := range all {
			if o.kind == "Secret" {
				t.Errorf("%s: the chart makes the Secret %s: it should only name those that exist", set, o.name)
			}
		}
		for _, p := range pods(t, all) {
			for _, what := range wrong(p) {
				t.Errorf("%s: %s", set, what)
			}
		}
	}
}

func TestThePolicySeesWhatIsWrong(t *testing.T) {
	p := thePod(t, "minimal")
	root := int64(0)
	p.spec.Containers[0].SecurityContext.RunAsUser = &root
	p.spec.Containers[0].Env = append(p.spec.Containers[0].Env, corev1.EnvVar{Name: "SALLYPORT_STORE", Value: "redis://:pw@redis:6379"},
		corev1.EnvVar{Name: "SALLYPORT_ADMIN_TOKEN", Value: "x"})
	p.our.LivenessProbe = nil
	if got := wrong(p); len(got) < 4 {
		t.Errorf("of four faults it tells %q", got)
	}
}

// A pod that is killed in an exchange leaves a refresh token in doubt. What
// serve may take is in cmd/sallyport (drain): the drain timeout, and then the
// exchange timeout and 10 s; 5 s for telemetry.
func TestAPodIsKilledLaterThanAnExchangeEnds(t *testing.T) {
	for _, c := range []struct {
		set             string
		args            []string
		drain, exchange time.Duration
	}{
		{"minimal", nil, 30 * time.Second, time.Minute},
		{"gateway-embedded", nil, 90 * time.Second, 45 * time.Second},
		{"minimal", []string{"--set", "settings.SALLYPORT_DRAIN_TIMEOUT=1.5h,settings.SALLYPORT_EXCHANGE_TIMEOUT=1m250ms"}, 90 * time.Minute, time.Minute + 250*time.Millisecond},
		{"minimal", []string{"--set", "settings.SALLYPORT_DRAIN_TIMEOUT=1h2m3s,preStopSeconds=0"}, time.Hour + 2*time.Minute + 3*time.Second, time.Minute},
		{"sidecar-redis", []string{"--set", "sidecar.appGraceSeconds=45"}, 75 * time.Second, time.Minute},
	} {
		p := thePod(t, c.set, c.args...)
		least := c.drain + c.exchange + 15*time.Second
		if l := p.our.Lifecycle; l != nil {
			least += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
		}
		got := time.Duration(*p.spec.TerminationGracePeriodSeconds) * time.Second
		if got < least || got > least+30*time.Second {
			t.Errorf("%s %v: it is killed after %v, want a little over %v", c.set, c.args, got, least)
		}
	}
}
