package check_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// pod is a rendered pod and sallyport's container in it.
type pod struct {
	labels map[string]string
	spec   corev1.PodSpec
	our    corev1.Container
}

// pods returns what StatefulSets and Deployments make.
func pods(t *testing.T, all []object) []pod {
	t.Helper()
	var found []pod
	for _, o := range all {
		var template corev1.PodTemplateSpec
		switch typed := o.typed.(type) {
		case *appsv1.StatefulSet:
			template = typed.Spec.Template
		case *appsv1.Deployment:
			template = typed.Spec.Template
		default:
			continue
		}
		p := pod{labels: template.Labels, spec: template.Spec}
		containers := p.containers()
		i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == "sallyport" })
		if i < 0 {
			t.Fatalf("%s %s has no container sallyport", o.kind, o.name)
		}
		p.our = containers[i]
		found = append(found, p)
	}
	return found
}

// thePod is the only one that a value set makes.
func thePod(t *testing.T, set string, args ...string) pod {
	t.Helper()
	all := pods(t, renderSet(t, set, args...))
	if len(all) != 1 {
		t.Fatalf("%s makes %d kinds of pods, want 1", set, len(all))
	}
	return all[0]
}

func (p pod) containers() []corev1.Container {
	return slices.Concat(p.spec.InitContainers, p.spec.Containers)
}

// env returns a container's variables with a literal value.
func literals(c corev1.Container) map[string]string {
	values := map[string]string{}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			values[e.Name] = e.Value
		}
	}
	return values
}

func (p pod) volume(name string) *corev1.Volume {
	if i := slices.IndexFunc(p.spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }); i >= 0 {
		return &p.spec.Volumes[i]
	}
	return nil
}
