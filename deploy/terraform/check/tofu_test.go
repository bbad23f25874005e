package check_test

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs that are asked. deploy/terraform/check.sh builds what is missing.
var (
	tofu      = flag.String("tofu", "../../../bin/tofu", "the OpenTofu to ask")
	sallyport = flag.String("sallyport", "../../../bin/sallyport", "the sallyport to ask")
)

// program is the absolute path of a built program.
func program(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		t.Fatalf("%s is not there; deploy/terraform/check.sh builds it: %v", path, err)
	}
	return abs
}

// workspace is a copy of the modules with an OpenTofu that asks no registry.
type workspace struct {
	dir  string
	tofu string
	env  []string
}

// newWorkspace copies the modules. Providers come from mirror, a directory, and
// from nowhere else.
func newWorkspace(t *testing.T, mirror string) workspace {
	t.Helper()
	w := workspace{dir: t.TempDir(), tofu: program(t, *tofu)}
	src := os.DirFS("..")
	for _, pattern := range []string{"*/*.tf", "*/*/*.tf"} {
		files, err := fs.Glob(src, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			data, err := fs.ReadFile(src, name)
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, name, string(data))
		}
	}
	w.write(t, "tofu.rc", "provider_installation {\n  filesystem_mirror {\n    path = \""+mirror+"\"\n  }\n}\n")
	w.env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "tofu.rc"), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_DATA_DIR=")
	return w
}

// write makes a file, and its directory.
func (w workspace) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces old, which must be there once, in a file.
func (w workspace) edit(t *testing.T, name, old, text string) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(src), old) != 1 {
		t.Fatalf("%s doesn't have %q once", name, old)
	}
	w.write(t, name, strings.Replace(string(src), old, text, 1))
}

// try runs OpenTofu in a directory of w.
func (w workspace) try(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.tofu, append([]string{"-chdir=" + filepath.Join(w.dir, dir)}, args...)...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run does the same and must go well.
func (w workspace) run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := w.try(t, dir, args...)
	if err != nil {
		t.Fatalf("tofu %s in %s: %v\n%s", strings.Join(args, " "), dir, err, out)
	}
	return out
}

// outputs are those of what was applied.
func (w workspace) outputs(t *testing.T, dir string, into any) {
	t.Helper()
	var all map[string]struct{ Value json.RawMessage }
	if err := json.Unmarshal([]byte(w.run(t, dir, "output", "-json")), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]json.RawMessage{}
	for name, o := range all {
		values[name] = o.Value
	}
	flat, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(flat, into); err != nil {
		t.Fatal(err)
	}
}
