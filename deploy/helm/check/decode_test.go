package check_test

import (
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

// object is a rendered manifest.
type object struct {
	kind, name, namespace string
	typed                 runtime.Object
	text                  string
}

// bundle is trust-manager's Bundle (trust.cert-manager.io/v1alpha1), as far as
// the chart uses it.
type bundle struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		Sources []struct {
			UseDefaultCAs *bool   `json:"useDefaultCAs,omitempty"`
			InLine        *string `json:"inLine,omitempty"`
		} `json:"sources"`
		Target struct {
			ConfigMap struct {
				Key string `json:"key"`
			} `json:"configMap"`
			NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
		} `json:"target"`
	} `json:"spec"`
}

// DeepCopyObject implements runtime.Object. Nobody changes a decoded Bundle, so
// that what is shared doesn't matter.
func (b *bundle) DeepCopyObject() runtime.Object {
	c := *b
	return &c
}

// decode reads manifests as an API server with strict field validation would: an
// unknown or doubled field, or a wrong type, fails the test.
func decode(t *testing.T, manifests string) []object {
	t.Helper()
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := monitoring.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	s.AddKnownTypeWithName(schema.GroupVersionKind{Group: "trust.cert-manager.io", Version: "v1alpha1", Kind: "Bundle"}, &bundle{})
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s, json.SerializerOptions{Yaml: true, Strict: true})
	var all []object
	for _, text := range strings.Split("\n"+manifests, "\n---\n") {
		if strings.TrimSpace(withoutComments(text)) == "" {
			continue
		}
		typed, kind, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		named, err := meta.Accessor(typed)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, object{kind.Kind, named.GetName(), named.GetNamespace(), typed, text})
	}
	return all
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// only returns the one object of a type.
func only[T runtime.Object](t *testing.T, all []object) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if typed, ok := o.typed.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects of the type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

func TestTheDecoderIsStrict(t *testing.T) {
	s := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, text := range []string{
		"apiVersion: v1\nkind: Service\nspec: {prots: []}\n",
		"apiVersion: v1\nkind: Service\nspec: {type: ClusterIP, type: ClusterIP}\n",
		"apiVersion: v1\nkind: Service\nspec: {ports: [{port: proxy}]}\n",
	} {
		if _, _, err := s.Decode([]byte(text), nil, &corev1.Service{}); err == nil {
			t.Errorf("it lets this through:\n%s", text)
		}
	}
}
