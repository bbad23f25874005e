package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

const whole = `# All fields.
apps:
  - name: acme-sync
    clientId: env:SF_CLIENT_ID
    clientSecret: file:/run/secrets/sf-client-secret
orgs:
  - name: acme-prod
    app: acme-sync
    loginUrl: https://acme.my.salesforce.com
    hosts: [acme.my.salesforce.com]
    grant: refresh_token
    refreshToken: "5Aep861:x"
    sessionTimeout: 2h
    disabled: false
    previousName: acme
    egress: 203.0.113.7
    foreignHosts: true
clients:
  - name: billing
    secret: |
      hunter2
    orgs:
      - acme-prod
    methods: [GET, POST]
    paths: [/services/data/]
    passthrough: []
    limits: {requestsPerSecond: 0.5, concurrent: 3}
    mode: report
    composite: true
    allow: [executeAnonymous]
    traces: trusted
    disabled: true
`

func options() config.ResourceOptions {
	return config.ResourceOptions{
		LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"SF_CLIENT_ID": "3MVG9", "EMPTY": ""}[name]
			return v, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/secrets/sf-client-secret" {
				return []byte("s3cret\n"), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
	}
}

func TestParseResources(t *testing.T) {
	got, err := config.ParseResources(strings.NewReader(whole), "sp.yaml", options())
	if err != nil {
		t.Fatal(err)
	}
	if got.Source != "sp.yaml" || got.Lines["orgs[0].loginUrl"] != 9 || got.Lines["clients[0].orgs[0]"] != 23 || got.Lines["apps[0]"] != 3 {
		t.Errorf("lines %v", got.Lines)
	}
	got.Source, got.Lines = "", nil
	want := registry.Change{
		Apps: []registry.App{{Name: "acme-sync", ClientID: "3MVG9", ClientSecret: secret.NewText("s3cret")}},
		Orgs: []registry.OrgChange{{Org: registry.Org{
			Name: "acme-prod", App: "acme-sync", LoginURL: "https://acme.my.salesforce.com", Hosts: []string{"acme.my.salesforce.com"},
			Grant: "refresh_token", SessionTimeout: 2 * time.Hour, PreviousName: "acme", Egress: netip.MustParseAddr("203.0.113.7"),
			ForeignHosts: true,
		}, Seed: secret.NewText("5Aep861:x")}},
		Clients: []registry.ClientChange{{Client: registry.Client{
			Name: "billing", Orgs: []string{"acme-prod"}, Methods: []string{"GET", "POST"}, Paths: []string{"/services/data/"},
			Passthrough: &[]string{}, Limits: registry.Limits{RequestsPerSecond: 0.5, Concurrent: 3}, Mode: "report",
			Composite: true, Allow: []string{"executeAnonymous"}, Traces: "trusted", Disabled: true,
		}, Secret: secret.NewText("hunter2")}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(secret.Text.Equal), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyFileIsAnEmptyChange(t *testing.T) {
	for _, s := range []string{"", "# nothing\n", "---\n", "{}", "apps: []\n"} {
		c, err := config.ParseResources(strings.NewReader(s), "sp.yaml", options())
		if err != nil || len(c.Apps)+len(c.Orgs)+len(c.Clients) != 0 {
			t.Errorf("%q: %v", s, err)
		}
	}
}

const (
	goodApp = "apps:\n- {name: a, clientId: x, clientSecret: y}\n"
	goodOrg = goodApp + "orgs:\n- {name: o, app: a, loginUrl: 'https://o.my.salesforce.com'}\n"
)

func TestParseResourcesRefuses(t *testing.T) {
	tests := []struct {
		name string
		yaml string
		line int
		path string
		says string
	}{
		{"what is no YAML", "apps:\n- {name: a\nclientSecret: hunter2", 3, "", "no YAML"},
		{"a list at the top", "- a\n", 1, "", "a mapping"},
		{"a text at the top", "hunter2\n", 1, "", "a mapping"},
		{"two documents", "apps: []\n---\norgs: []\n", 3, "", "second document"},
		{"an unknown key at the top", "apps: []\nusers: []\n", 2, "users", `no key "users"`},
		{"an unknown key in an app", "apps:\n- name: a\n  clientID: x\n  clientId: x\n", 3, "apps[0].clientID", `no key "clientID"`},
		{"an unknown key in an org", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  colour: red\n", 7, "orgs[0].colour", "no key"},
		{"an unknown key in limits", goodApp + "clients:\n- name: c\n  limits:\n    perSecond: 3\n", 6, "clients[0].limits.perSecond", "no key"},
		{"a key twice", "apps:\n- name: a\n  clientId: x\n  clientId: y\n", 4, "apps[0].clientId", "twice, first in line 3"},
		{"a key twice at the top", "apps: []\norgs: []\napps: []\n", 3, "apps", "twice, first in line 1"},
		{"a key without a value", "apps:\n- name: a\n  clientId: x\n  clientSecret:\n", 4, "apps[0].clientSecret", "no value"},
		{"an empty secret", "apps:\n- name: a\n  clientId: x\n  clientSecret: ''\n", 4, "apps[0].clientSecret", "empty"},
		{"a name twice", goodApp + "- {name: a, clientId: x}\n", 3, "apps[1].name", "named twice, first at line 2"},
		{"an org's name twice", goodOrg + "- {name: o, app: a, loginUrl: 'https://p.my.salesforce.com'}\n", 5, "orgs[1].name", "named twice"},
		{"a client's name twice", "clients:\n- name: c\n- name: c\n", 3, "clients[1].name", "named twice"},
		{"a dangling app", "orgs:\n- name: o\n  app: b\n  loginUrl: https://o.my.salesforce.com\n", 3, "orgs[0].app", `no app "b"`},
		{"a dangling org", "clients:\n- name: c\n  orgs:\n  - known\n  - nope\n", 5, "clients[0].orgs[1]", `no org "nope"`},
		{"a variable that is not set", "apps:\n- name: a\n  clientId: env:NOPE\n", 3, "apps[0].clientId", `"NOPE" is not set or empty`},
		{"a variable that is empty", "apps:\n- name: a\n  clientId: env:EMPTY\n", 3, "apps[0].clientId", "not set or empty"},
		{"a file that isn't there", "apps:\n- name: a\n  clientId: x\n  clientSecret: file:/nope\n", 4, "apps[0].clientSecret", "/nope cannot be read"},
		{"a file without a path", "clients:\n- name: c\n  secret: 'file:'\n", 3, "clients[0].secret", "no path"},
		{"one grant for two orgs", goodOrg + "- {name: p, app: a, loginUrl: 'https://p.my.salesforce.com', refreshToken: t}\n" +
			"- {name: q, app: a, loginUrl: 'https://q.my.salesforce.com',\n   refreshToken: t}\n", 7, "orgs[2].refreshToken", "one grant is one org"},
		{"a URL that is none", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: 'https://'\n", 6, "orgs[0].loginUrl", "no URL"},
		{"a URL with a port out of range", goodApp + "orgs:\n- name: o\n  app: a\n  foreignHosts: true\n  loginUrl: https://s.test:65536\n", 7, "orgs[0].loginUrl", "1 to 65535"},
		{"a host outside Salesforce", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  hosts:\n  - evil.example\n", 8, "orgs[0].hosts[0]", "not under a Salesforce domain"},
		{"no list of hosts", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  hosts: o.my.salesforce.com\n", 7, "orgs[0].hosts", "a list"},
		{"a session timeout of a number", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  sessionTimeout: 7200\n", 7, "orgs[0].sessionTimeout", "no duration"},
		{"a session timeout under a second", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  sessionTimeout: 0s\n", 7, "orgs[0].sessionTimeout", "shorter than 1s"},
		{"an egress address that is none", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  egress: eth0\n", 7, "orgs[0].egress", "no IP address"},
		{"a flag in quotes", goodApp + "orgs:\n- name: o\n  app: a\n  loginUrl: https://o.my.salesforce.com\n  disabled: 'true'\n", 7, "orgs[0].disabled", "true or false"},
		{"a flag by yes", "clients:\n- name: c\n  composite: yes\n", 3, "clients[0].composite", "true or false"},
		{"a limit of zero", "clients:\n- name: c\n  limits: {concurrent: 0}\n", 3, "clients[0].limits.concurrent", "above 0"},
		{"half a connection", "clients:\n- name: c\n  limits: {concurrent: 1.5}\n", 3, "clients[0].limits.concurrent", "whole number"},
		{"a limit in words", "clients:\n- name: c\n  limits: {requestsPerSecond: many}\n", 3, "clients[0].limits.requestsPerSecond", "a number"},
		{"a limit that is no number", "clients:\n- name: c\n  limits: {requestsPerSecond: .nan}\n", 3, "clients[0].limits.requestsPerSecond", "number"},
		{"certificates", "clients:\n- name: c\n  certificates: ['cn:a.example']\n", 3, "clients[0].certificates[0]", "write dns:NAME"},
		{"an empty list of methods", "clients:\n- name: c\n  methods: []\n", 3, "clients[0].methods", "is empty"},
		{"an empty item", "clients:\n- name: c\n  paths:\n  -\n", 3, "clients[0].paths[0]", "item is empty"},
		{"a mapping for a text", "clients:\n- name: {a: b}\n", 2, "clients[0].name", "a text"},
		{"an alias", "clients:\n- name: &x c\n- name: *x\n", 2, "", "anchors, aliases"},
		{"a tag", "clients:\n- name: !!str c\n", 2, "", "tags"},
		{"a merge key", "clients:\n- <<: {name: c}\n", 2, "", "merge keys"},
		{"deep flow", strings.Repeat("[", 1<<20), 1, "", "too deep"},
		{"deep blocks on a line", strings.Repeat("- ", 1<<18), 1, "", "too deep"},
		{"too much", strings.Repeat("# comment\n", registry.MaxChange/10+1), 0, "", "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := options()
			opts.Known = func(kind, name string) bool { return kind == registry.KindOrg && name == "known" }
			_, err := config.ParseResources(strings.NewReader(tt.yaml), "sp.yaml", opts)
			var invalid *registry.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			f := invalid.Faults[0]
			if f.Line != tt.line || f.Path != tt.path || !strings.Contains(f.Message, tt.says) || invalid.Source != "sp.yaml" {
				t.Errorf("got %+v, want line %d, %q, %q", f, tt.line, tt.path, tt.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestAllFaultsOfAFileAtOnce(t *testing.T) {
	_, err := config.ParseResources(strings.NewReader("apps:\n- name: A\n  clientId: env:NOPE\n  colour: red\nclients:\n- name: c\n  mode: off\n"), "sp.yaml", options())
	var invalid *registry.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range invalid.Faults {
		got = append(got, fmt.Sprint(f.Line, " ", f.Path))
	}
	if diff := cmp.Diff([]string{"2 apps[0].name", "3 apps[0].clientId", "4 apps[0].colour", "7 clients[0].mode"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReferencesStayInTheirDirectories(t *testing.T) {
	root := t.TempDir()
	inside, outside := filepath.Join(root, "in"), filepath.Join(root, "out")
	for _, dir := range []string{inside, outside, filepath.Join(inside, "..data"), filepath.Join(root, "in-not")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "s"), []byte("value\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"in/escape": "../out/s", "in/k8s": "..data/s", "dir": "in"}
	for from, to := range links {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	big := filepath.Join(inside, "big")
	if err := os.WriteFile(big, make([]byte, config.MaxReferenceFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, ref string
		dirs      []string
		ok        bool
	}{
		{"a file inside", inside + "/s", []string{inside}, true},
		{"a file through a link that stays inside", inside + "/k8s", []string{inside}, true},
		{"a directory that is a link itself", root + "/dir/s", []string{root + "/dir"}, true},
		{"a path relative to the resources file", "in/s", []string{inside}, true},
		{"anywhere", outside + "/s", nil, true},
		{"a file outside", outside + "/s", []string{inside}, false},
		{"a link that leads outside", inside + "/escape", []string{inside}, false},
		{"a path that climbs", inside + "/../out/s", []string{inside}, false},
		{"a directory that only begins alike", root + "/in-not/s", []string{inside}, false},
		{"nowhere", inside + "/s", []string{}, false},
		{"a directory that isn't there", inside + "/s", []string{root + "/none"}, false},
		{"a directory as the file", inside, []string{inside}, false},
		{"a large file", big, []string{inside}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.ParseResources(strings.NewReader("clients:\n- name: c\n  secret: 'file:"+tt.ref+"'\n"),
				filepath.Join(root, "sp.yaml"), config.ResourceOptions{ReferenceDirs: tt.dirs})
			if tt.ok && (err != nil || c.Clients[0].Secret.Reveal() != "value") {
				t.Errorf("got %v", err)
			}
			if !tt.ok && !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("it was read; got %v", err)
			}
		})
	}
}

func FuzzParseResources(f *testing.F) {
	f.Add(whole)
	f.Add("apps: [{name: a, ? b : c}]\n--- \n...\n")
	f.Add("clients:\n- name: |+\n   x\n  orgs: [\n]")
	f.Fuzz(func(_ *testing.T, s string) {
		_, _ = config.ParseResources(strings.NewReader(s), "sp.yaml", options())
	})
}
