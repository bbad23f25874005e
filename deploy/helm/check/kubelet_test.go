package check_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// contents are the keys of Secrets and ConfigMaps by their names.
type contents map[string]map[string][]byte

// kubelet starts sallyport's container with the environment, volumes and user
// that a pod would give it. Paths lie below root, ports are free ones.
type kubelet struct {
	root, binary string
	secrets      contents
	configs      contents
	uid          int
	replace      *strings.Replacer
	proxy, admin string // addresses
	versions     int
}

func newKubelet(t *testing.T, all []object, secrets contents) *kubelet {
	t.Helper()
	k := &kubelet{root: t.TempDir(), secrets: secrets, configs: contents{}, uid: os.Geteuid()}
	if k.uid == 0 {
		k.uid = 65532
		if err := os.Chmod(filepath.Dir(k.root), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k.binary = filepath.Join(k.root, "sallyport")
	b := read(t, *binary)
	if err := os.WriteFile(k.binary, b, 0o755); err != nil {
		t.Fatal(err)
	}
	k.proxy, k.admin = freeAddress(t), freeAddress(t)
	_, proxyPort, _ := net.SplitHostPort(k.proxy) // both were made by a listener
	_, adminPort, _ := net.SplitHostPort(k.admin)
	k.replace = strings.NewReplacer(":3128", ":"+proxyPort, ":3129", ":"+adminPort,
		"/etc/sallyport", filepath.Join(k.root, "etc/sallyport"), "/var/lib/sallyport", filepath.Join(k.root, "var/lib/sallyport"))
	for _, o := range all {
		if c, ok := o.typed.(*corev1.ConfigMap); ok {
			k.configs[c.Name] = map[string][]byte{}
			for key, text := range c.Data {
				k.configs[c.Name][key] = []byte(k.replace.Replace(text))
			}
		}
	}
	return k
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mount makes the pod's volumes, or makes them anew after a change.
func (k *kubelet) mount(t *testing.T, p pod) {
	t.Helper()
	k.versions++
	for _, m := range p.our.VolumeMounts {
		at := k.replace.Replace(m.MountPath)
		v := p.volume(m.Name)
		if v == nil || v.EmptyDir != nil { // nil: a claim
			k.state(t, at, v == nil)
			continue
		}
		files := map[string][]byte{}
		standard := int32(0o644)
		mode := &standard
		take := func(from contents, name string, items []corev1.KeyToPath) {
			if len(items) == 0 {
				for key := range from[name] {
					items = append(items, corev1.KeyToPath{Key: key, Path: key})
				}
			}
			for _, i := range items {
				b, ok := from[name][i.Key]
				if !ok {
					t.Fatalf("the volume %s wants the key %s of %s, which isn't there", v.Name, i.Key, name)
				}
				files[i.Path] = b
			}
		}
		switch {
		case v.Secret != nil:
			mode = v.Secret.DefaultMode
			take(k.secrets, v.Secret.SecretName, v.Secret.Items)
		case v.ConfigMap != nil:
			if v.ConfigMap.DefaultMode != nil {
				mode = v.ConfigMap.DefaultMode
			}
			take(k.configs, v.ConfigMap.Name, v.ConfigMap.Items)
		case v.Projected != nil:
			mode = v.Projected.DefaultMode
			for _, s := range v.Projected.Sources {
				if s.Secret != nil {
					take(k.secrets, s.Secret.Name, s.Secret.Items)
				} else {
					take(k.configs, s.ConfigMap.Name, s.ConfigMap.Items)
				}
			}
		}
		k.swap(t, at, files, os.FileMode(*mode), p.spec.SecurityContext.FSGroup)
	}
}

// state makes the state directory's mount point as the kubelet does: root's,
// and with fsGroup the group's.
func (k *kubelet) state(t *testing.T, at string, claim bool) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o777)
	if claim {
		mode = 0o775 | os.ModeSetgid
	}
	if os.Geteuid() != 0 {
		mode = 0o700
	}
	if err := os.Chown(at, -1, k.uid); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if err := os.Chmod(at, mode); err != nil {
		t.Fatal(err)
	}
}

// swap writes a volume of files as the kubelet does: behind a link ..data that
// is turned once all are there. They are root's, and with fsGroup the group may
// read them. Who isn't root here can only have them as their own.
func (k *kubelet) swap(t *testing.T, at string, files map[string][]byte, mode os.FileMode, fsGroup *int64) {
	t.Helper()
	version := "..v" + strconv.Itoa(k.versions)
	group := -1
	if os.Geteuid() != 0 {
		mode = 0o400
	} else if fsGroup != nil {
		mode, group = mode|0o440, int(*fsGroup)
	}
	for path, b := range files {
		file := filepath.Join(at, version, path)
		write(t, file, b)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, -1, group); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(path, "/")
		if err := os.Symlink(filepath.Join("..data", first), filepath.Join(at, first)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(at, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(at, "..data_tmp"), filepath.Join(at, "..data")); err != nil {
		t.Fatal(err)
	}
}
