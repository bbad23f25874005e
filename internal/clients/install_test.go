package clients_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	length = flag.Duration("for", 20*time.Second, "how long the clients run, at least")
	serve  = flag.String("sallyport", "", "the sallyport to run; empty: one built from this tree")
	only   = flag.String("only", "", "a regular expression for the names of the clients to run")
)

// session is how long Salesforce's sessions last.
const session = 5 * time.Second

var (
	binaries  string // directory of the programs that were built
	installed string // directory of the npm packages
)

func built(name string) string {
	if name == "sallyport" && *serve != "" {
		return *serve
	}
	return filepath.Join(binaries, name)
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := prepared(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// prepared builds and installs what the tests run.
func prepared(tests func() int) (int, error) {
	var err error
	if binaries, err = os.MkdirTemp("", "sallyport-clients-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(binaries)
	for _, b := range [][3]string{{"../..", "sallyport", "./cmd/sallyport"}, {".", "gohttp", "./gohttp"}, {".", "gosalesforce", "./gosalesforce"}} {
		if b[1] == "sallyport" && *serve != "" {
			continue
		}
		if out, err := exec.Command("go", "build", "-C", b[0], "-o", built(b[1]), b[2]).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", b[1], err, out)
		}
	}
	if installed, err = install(); err != nil {
		return 1, err
	}
	return tests(), nil
}

// install has npm install the packages that the lock file names, once for each
// lock file, into the user's cache.
func install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	files := []string{"package.json", "package-lock.json", ".npmrc"}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join("npm", name))
		if err != nil {
			return "", err
		}
		hash.Write(b)
	}
	dir := filepath.Join(cache, "sallyport-clients", hex.EncodeToString(hash.Sum(nil))[:16])
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS("npm")); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci", "--no-progress", "--loglevel=error")
	cmd.Dir = dir
	fmt.Fprintln(os.Stderr, "npm ci: some 800 packages into", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o600)
}
