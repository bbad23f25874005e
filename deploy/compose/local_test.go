// Package compose_test checks local.yaml: by itself, and, with the build tag
// live, as processes on loopback that get the very commands, environment and
// files that its services name.
package compose_test

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

// compose is the part of the Compose specification that local.yaml uses. It is
// decoded strictly: a misspelt key is an error.
type compose struct {
	Name        string             `yaml:"name"`
	Locked      any                `yaml:"x-locked"`
	Environment any                `yaml:"x-environment"`
	Replica     any                `yaml:"x-replica"`
	Services    map[string]service `yaml:"services"`
	Configs     map[string]source  `yaml:"configs"`
	Secrets     map[string]source  `yaml:"secrets"`
	Networks    map[string]any     `yaml:"networks"`
	Volumes     map[string]any     `yaml:"volumes"`
}

type source struct {
	File string `yaml:"file"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Profiles    []string          `yaml:"profiles"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	EnvFile     []string          `yaml:"env_file"`
	Ports       []string          `yaml:"ports"`
	Configs     []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
	} `yaml:"configs"`
	Secrets  []string `yaml:"secrets"`
	Volumes  []string `yaml:"volumes"`
	Networks map[string]struct {
		Address string `yaml:"ipv4_address"`
	} `yaml:"networks"`
	NetworkMode string         `yaml:"network_mode"`
	Restart     string         `yaml:"restart"`
	StopGrace   string         `yaml:"stop_grace_period"`
	User        string         `yaml:"user"`
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	SecurityOpt []string       `yaml:"security_opt"`
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
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "local.yaml")), &c, yaml.Strict()); err != nil {
		t.Fatalf("local.yaml: %v", err)
	}
	return c
}

func TestEveryServiceIsLockedDown(t *testing.T) {
	for name, s := range load(t).Services {
		switch {
		case s.User == "" || strings.HasPrefix(s.User, "0") || strings.HasPrefix(s.User, "root"):
			t.Errorf("%s runs as %q", name, s.User)
		case !s.ReadOnly:
			t.Errorf("%s may write to its root", name)
		case !slices.Equal(s.CapDrop, []string{"ALL"}):
			t.Errorf("%s keeps capabilities", name)
		case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
			t.Errorf("%s may gain privileges", name)
		case s.PidsLimit == 0, s.MemLimit == "":
			t.Errorf("%s has no limit on processes or memory", name)
		case s.Restart == "":
			t.Errorf("%s doesn't say what follows its end", name)
		case !strings.HasSuffix(s.Image, ":dev") && !regexp.MustCompile(`:v?\d+\.\d+\.\d+(-alpine)?$`).MatchString(s.Image):
			t.Errorf("%s has an image that changes: %s", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond this machine", name, p)
			}
		}
	}
	if ports := load(t).Services["redis"].Ports; len(ports) > 0 {
		t.Errorf("Redis is published: %v", ports)
	}
}

func TestWhatServicesNameIsDefined(t *testing.T) {
	c := load(t)
	addresses := map[string]string{}
	for name, s := range c.Services {
		for _, conf := range s.Configs {
			if _, err := os.Stat(c.Configs[conf.Source].File); err != nil {
				t.Errorf("%s: the config %s: %v", name, conf.Source, err)
			}
		}
		for _, secret := range s.Secrets {
			if filepath.Dir(c.Secrets[secret].File) != "local/secrets" {
				t.Errorf("%s: the secret %s is at %q", name, secret, c.Secrets[secret].File)
			}
		}
		for _, v := range s.Volumes {
			volume, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s: no volume %s", name, volume)
			}
			if strings.HasPrefix(volume, "state-") && volume != "state-"+strings.TrimPrefix(name, "sallyport-") {
				t.Errorf("%s has the state directory %s, which is another's", name, volume)
			}
		}
		for other, d := range s.DependsOn {
			if d.Condition != "service_healthy" || len(c.Services[other].Healthcheck.Test) == 0 {
				t.Errorf("%s waits for %s, which has no healthcheck", name, other)
			}
		}
		if a := s.Networks["local"].Address; a != "" {
			if addresses[a] != "" {
				t.Errorf("%s and %s have the address %s", name, addresses[a], a)
			}
			addresses[a] = name
		}
	}
	// Every address that a file or a setting names is a service's.
	for _, file := range []string{"local.yaml", "local.sh", "local/prometheus.yml"} {
		for _, a := range regexp.MustCompile(`172\.30\.31\.\d+\b`).FindAllString(read(t, file), -1) {
			if addresses[a] == "" && a != "172.30.31.0" {
				t.Errorf("%s names %s, which no service has", file, a)
			}
		}
	}
}

func TestReplicasStopLaterThanAnExchangeEnds(t *testing.T) {
	s := load(t).Services["sallyport-1"]
	duration := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const drain, margin = 30 * time.Second, 10 * time.Second
	if grace := duration(s.StopGrace); grace <= drain+duration(s.Environment["SALLYPORT_EXCHANGE_TIMEOUT"])+margin {
		t.Errorf("stop_grace_period is %v: an exchange may be killed", grace)
	}
}

// TestReplicasDifferOnlyInWhoTheyAre would miss no setting that one has alone.
func TestReplicasDifferOnlyInWhoTheyAre(t *testing.T) {
	c := load(t)
	one, two := c.Services["sallyport-1"], c.Services["sallyport-2"]
	if one.Build.Context == "" {
		t.Error("sallyport-1 doesn't build the image")
	}
	one.Build, one.Ports, one.Volumes, one.Networks = two.Build, two.Ports, two.Volumes, two.Networks
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("sallyport-1 and sallyport-2 (-1 +2):\n%s", diff)
	}
}

func TestPrometheusScrapesAsTheExampleDoes(t *testing.T) {
	var want, got map[string]any
	for path, v := range map[string]*map[string]any{"../prometheus/prometheus.yml": &want, "local/prometheus.yml": &got} {
		text := strings.ReplaceAll(read(t, path), "172.30.31.", "10.0.0.")
		if err := yaml.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the scrape configuration, but for addresses (-example +local):\n%s", diff)
	}
}

// TestTheRightsInRedisAreThoseOfTheStore holds the ACL against the one that the
// store's package says it needs.
func TestTheRightsInRedisAreThoseOfTheStore(t *testing.T) {
	rights := regexp.MustCompile(`-@all [+a-z |-]+`)
	want, got := rights.FindString(read(t, "../../tokens/redisstore/doc.go")), regexp.MustCompile(`\+hello [+a-z |-]+`).FindString(read(t, "local.sh"))
	if diff := cmp.Diff(strings.TrimSpace(strings.TrimPrefix(want, "-@all ")), strings.TrimSpace(got)); diff != "" || got == "" {
		t.Errorf("the rights (-store +local.sh):\n%s", diff)
	}
}
