// Package deploy_test checks the files that people deploy sallyport with, as
// far as they can be checked without a container engine: that they parse with
// no unknown key, that they are as locked down as the README says, and that
// they agree with each other.
package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// compose is the part of the Compose specification that our file uses. It is
// decoded strictly, so a misspelt key is an error here and not at a user's.
type compose struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Configs  map[string]source  `yaml:"configs"`
	Secrets  map[string]source  `yaml:"secrets"`
	Networks map[string]any     `yaml:"networks"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type source struct {
	File string `yaml:"file"`
}

type service struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Profiles    []string          `yaml:"profiles"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Configs     []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
		UID    string `yaml:"uid"`
		GID    string `yaml:"gid"`
		Mode   int    `yaml:"mode"`
	} `yaml:"configs"`
	Secrets     []string       `yaml:"secrets"`
	Volumes     []string       `yaml:"volumes"`
	Tmpfs       []string       `yaml:"tmpfs"`
	Networks    []string       `yaml:"networks"`
	NetworkMode string         `yaml:"network_mode"`
	Restart     string         `yaml:"restart"`
	StopGrace   string         `yaml:"stop_grace_period"`
	User        string         `yaml:"user"`
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	CapAdd      []string       `yaml:"cap_add"`
	SecurityOpt []string       `yaml:"security_opt"`
	Privileged  bool           `yaml:"privileged"`
	PidsLimit   int            `yaml:"pids_limit"`
	MemLimit    string         `yaml:"mem_limit"`
	Ulimits     map[string]int `yaml:"ulimits"`
	Healthcheck struct {
		Test        []string `yaml:"test"`
		Interval    string   `yaml:"interval"`
		Timeout     string   `yaml:"timeout"`
		StartPeriod string   `yaml:"start_period"`
		Retries     int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func loadCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "compose/compose.yaml")), &c, yaml.Strict()); err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	return c
}

func TestEveryYAMLFileParses(t *testing.T) {
	files, err := filepath.Glob("*/*.y*ml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no YAML: %v", err)
	}
	for _, f := range files {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(read(t, f)), &v); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestComposeServicesAreLockedDown(t *testing.T) {
	for name, s := range loadCompose(t).Services {
		switch {
		case s.User != "65532:65532":
			t.Errorf("%s runs as %q, not as the image's user", name, s.User)
		case !s.ReadOnly:
			t.Errorf("%s may write to its root", name)
		case !slices.Equal(s.CapDrop, []string{"ALL"}), len(s.CapAdd) > 0, s.Privileged:
			t.Errorf("%s keeps capabilities", name)
		case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
			t.Errorf("%s may gain privileges", name)
		case s.PidsLimit == 0, s.MemLimit == "":
			t.Errorf("%s has no limit on processes or memory", name)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s in clear beyond this machine", name, p)
			}
		}
	}
}

func TestComposeStopsLaterThanAnExchangeEnds(t *testing.T) {
	const drain, exchange, margin = 30 * time.Second, time.Minute, 10 * time.Second
	grace, err := time.ParseDuration(loadCompose(t).Services["sallyport"].StopGrace)
	if err != nil {
		t.Fatal(err)
	}
	if grace <= drain+exchange+margin {
		t.Errorf("stop_grace_period is %v: an exchange may be killed and its refresh token left in doubt", grace)
	}
}

func TestComposeDefinesWhatItNames(t *testing.T) {
	c := loadCompose(t)
	s := c.Services["sallyport"]
	for _, name := range s.Secrets {
		if c.Secrets[name].File == "" {
			t.Errorf("the secret %s is not defined", name)
		}
	}
	for _, conf := range s.Configs {
		if _, err := os.Stat(filepath.Join("compose", c.Configs[conf.Source].File)); err != nil {
			t.Errorf("the config %s: %v", conf.Source, err)
		}
		if conf.Target != s.Environment["SALLYPORT_APPLY"] {
			t.Errorf("the config is at %s and SALLYPORT_APPLY is %s", conf.Target, s.Environment["SALLYPORT_APPLY"])
		}
	}
	// The references of the resources file and the secrets of the service are the same set.
	var wanted []string
	for _, m := range regexp.MustCompile(`file:/run/secrets/(\S+)`).FindAllStringSubmatch(read(t, "compose/resources.yaml"), -1) {
		wanted = append(wanted, m[1])
	}
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, slices.Sorted(slices.Values(s.Secrets))); diff != "" {
		t.Errorf("secrets that resources.yaml refers to, and those that compose.yaml mounts (-want +got):\n%s", diff)
	}
}

// TestEveryVariableIsOneThatServeReads holds the names of settings in all
// files here, and in the Dockerfile, against the source of package config:
// serve refuses to start with an unknown one.
func TestEveryVariableIsOneThatServeReads(t *testing.T) {
	source := ""
	files, err := filepath.Glob("../config/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no source of package config: %v", err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			source += read(t, f)
		}
	}
	name := regexp.MustCompile(`SALLYPORT_([A-Z0-9_]*[A-Z0-9])`)
	all := []string{"compose/compose.yaml", "systemd/sallyport.service", "README.md", "image/check.sh", "../Dockerfile", "otelcol/config.yaml", "prometheus/rules.yml"}
	for _, f := range runbooks(t) {
		all = append(all, "runbooks/"+f)
	}
	for _, f := range all {
		text := strings.ReplaceAll(read(t, f), `"errorCode":"SALLYPORT_`, "") // what clients get, in capitals too
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if m[1] == "ADMIN_URL" {
				continue // the commands', not serve's
			}
			tag := regexp.MustCompile(`env:"(SALLYPORT_)?` + m[1] + `[",]`)
			if !tag.MatchString(source) {
				t.Errorf("%s sets %s, which package config does not read", f, m[0])
			}
		}
	}
}
