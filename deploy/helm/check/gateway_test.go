package check_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// A claim may hold the only copy of a refresh token: no scaling in, no deletion
// of the StatefulSet takes it along, and replicas go one after the other.
func TestAJournalOutlivesItsReplica(t *testing.T) {
	for _, set := range []string{"minimal", "gateway-redis", "gateway-sentinel"} {
		s := only[*appsv1.StatefulSet](t, renderSet(t, set)).Spec
		if r := s.PersistentVolumeClaimRetentionPolicy; r == nil || r.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType ||
			r.WhenScaled != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
			t.Errorf("%s: claims are deleted with their replica", set)
		}
		if s.PodManagementPolicy != appsv1.OrderedReadyPodManagement {
			t.Errorf("%s: replicas go at once", set)
		}
		mounts := s.Template.Spec.Containers[0].VolumeMounts
		if len(s.VolumeClaimTemplates) != 1 || !slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
			return m.Name == s.VolumeClaimTemplates[0].Name && m.MountPath == literals(s.Template.Spec.Containers[0])["SALLYPORT_STATE_DIR"]
		}) {
			t.Errorf("%s: the state directory isn't on a claim", set)
		}
		// fsGroup makes what is on a volume writable by a group at each mount,
		// and serve refuses a state directory that others can read.
		pod := s.Template.Spec.SecurityContext
		if pod.FSGroup == nil || pod.FSGroupChangePolicy == nil || *pod.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
			t.Errorf("%s: the second start on a volume would be refused", set)
		}
	}
}

func TestAnAutoscalerGoesOneByOne(t *testing.T) {
	all := renderSet(t, "gateway-redis")
	s, h := only[*appsv1.StatefulSet](t, all), only[*autoscalingv2.HorizontalPodAutoscaler](t, all)
	if s.Spec.Replicas != nil {
		t.Error("an upgrade would undo what the autoscaler chose")
	}
	if h.Spec.ScaleTargetRef.Kind != "StatefulSet" || h.Spec.ScaleTargetRef.Name != s.Name {
		t.Errorf("it scales %v", h.Spec.ScaleTargetRef)
	}
	down := h.Spec.Behavior.ScaleDown
	if len(down.Policies) != 1 || down.Policies[0].Type != autoscalingv2.PodsScalingPolicy || down.Policies[0].Value != 1 ||
		int64(down.Policies[0].PeriodSeconds) < *s.Spec.Template.Spec.TerminationGracePeriodSeconds || *down.StabilizationWindowSeconds < 300 {
		t.Errorf("it scales in by %v", down)
	}
}

// Without a claim the journal is in memory, where sallyport knows that it goes
// with the pod and leaves each answer in Redis, too. On a node's disk it would
// take it for lasting.
func TestAStateDirectoryWithoutAClaimIsInMemory(t *testing.T) {
	for _, p := range []pod{thePod(t, "gateway-redis", "--set", "persistence.enabled=false"), thePod(t, "sidecar-redis"), thePod(t, "sidecar-client-credentials")} {
		v := p.volume("sallyport-state")
		if v == nil || v.EmptyDir == nil || v.EmptyDir.Medium != corev1.StorageMediumMemory || v.EmptyDir.SizeLimit == nil {
			t.Errorf("the state directory is on %v", v)
		}
	}
}

// What serve reads again by itself restarts nobody; what it reads once does.
func TestWhatAnUpgradeRestarts(t *testing.T) {
	before := thePod(t, "gateway-redis")
	for _, c := range []struct {
		what, set string
		restarts  bool
	}{
		{"another path for a client", "apply.resources.clients[0].paths[0]=/services/data/", false},
		{"another number of replicas", "autoscaling.maxReplicas=9", false},
		{"a longer drain", "settings.SALLYPORT_DRAIN_TIMEOUT=1m", true},
		{"another CA", "ca.certificate=-----BEGIN CERTIFICATE-----", true},
		{"another Secret of the keyset", "keyset.existingSecret=other", true},
	} {
		all := renderSet(t, "gateway-redis", "--set", c.set)
		template := only[*appsv1.StatefulSet](t, all).Spec.Template
		old := only[*appsv1.StatefulSet](t, renderSet(t, "gateway-redis")).Spec.Template
		a, _ := json.Marshal(old) // both were just decoded
		b, _ := json.Marshal(template)
		if restarts := string(a) != string(b); restarts != c.restarts {
			t.Errorf("%s: restarts replicas: %v, want %v", c.what, restarts, c.restarts)
		}
		if diff := cmp.Diff(before.labels, template.Labels); diff != "" {
			t.Errorf("%s: the pods' labels change:\n%s", c.what, diff)
		}
	}
}

func TestTheNetworkPolicyLetsInNobodyByDefault(t *testing.T) {
	p := only[*networkingv1.NetworkPolicy](t, renderSet(t, "gateway-sentinel"))
	for _, rule := range p.Spec.Ingress {
		if len(rule.From) == 0 || len(rule.Ports) == 0 {
			t.Error("a rule of ingress without peers or ports lets everyone in")
		}
	}
	for _, rule := range p.Spec.Egress {
		if len(rule.To) == 0 || len(rule.Ports) == 0 {
			t.Error("a rule of egress without peers or ports lets everything out")
		}
	}
	none := only[*networkingv1.NetworkPolicy](t, renderSet(t, "minimal", "--set-json",
		"networkPolicy.clients=[],networkPolicy.monitoring=[],networkPolicy.dns=[],networkPolicy.salesforce.to=[]"))
	if len(none.Spec.Ingress) != 0 || len(none.Spec.Egress) != 0 || len(none.Spec.PolicyTypes) != 2 {
		t.Errorf("with empty lists there are rules: %v", none.Spec)
	}
}

func TestServicesFindThePodsAndTheirPorts(t *testing.T) {
	for _, set := range []string{"minimal", "gateway-redis"} {
		all := renderSet(t, set)
		p := pods(t, all)[0]
		for _, o := range all {
			s, ok := o.typed.(*corev1.Service)
			if !ok {
				continue
			}
			for k, v := range s.Spec.Selector {
				if p.labels[k] != v {
					t.Errorf("%s: the Service %s selects %s=%s, the pods have %q", set, s.Name, k, v, p.labels[k])
				}
			}
			for _, port := range s.Spec.Ports {
				if !slices.ContainsFunc(p.our.Ports, func(c corev1.ContainerPort) bool { return c.Name == port.TargetPort.StrVal }) {
					t.Errorf("%s: the Service %s leads to no port of the pod", set, s.Name)
				}
			}
		}
	}
}
