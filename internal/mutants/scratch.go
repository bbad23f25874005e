package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// testLimit bounds one run of tests.
const testLimit = time.Minute

// moduleRoot is the directory of the go.mod that this program was built from.
func moduleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	name := strings.TrimSpace(string(b))
	if err != nil || filepath.Base(name) != "go.mod" {
		return "", fmt.Errorf("run it within the module: go env GOMOD says %q: %w", name, errors.Join(err, fs.ErrNotExist))
	}
	return filepath.Dir(name), nil
}

// sources lists what git tracks or would track, so that no binary and nothing
// private is copied.
func sources(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00"), nil
}

// scratch is a copy of the module in which one mutant at a time lives.
type scratch struct{ dir string }

func newScratch(root string, names []string, parent string) (s scratch, err error) {
	if s.dir, err = os.MkdirTemp(parent, "copy-"); err != nil {
		return s, err
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted and still tracked
		} else if err != nil {
			return s, err
		}
		to := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return s, err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return s, err
		}
	}
	return s, nil
}

// command runs a program in dir and returns all that it said.
func (scratch) command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	return said.String(), err
}

// build makes the test binary of pkg, with the settings of `make build`, and no
// path of the copy in it: what no mutant touches was built before.
func (s scratch) build(ctx context.Context, pkg string) (binary string, err error) {
	binary = filepath.Join(s.dir, "mutant.test")
	said, err := s.command(ctx, s.dir, "go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", binary, pkg)
	if err != nil {
		return "", fmt.Errorf("%s doesn't build: %w\n%s", pkg, err, said)
	}
	return binary, nil
}

// test runs the tests of pkg whose names match, from its built binary, and
// reports whether all were green. It fails where none ran.
func (s scratch) test(ctx context.Context, pkg, tests string) (passed bool, said string, err error) {
	binary, err := s.build(ctx, pkg)
	if err != nil {
		return false, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, testLimit+10*time.Second)
	defer cancel()
	said, err = s.command(ctx, filepath.Join(s.dir, pkg), binary, "-test.v", "-test.failfast", "-test.timeout", testLimit.String(), "-test.run", tests)
	switch {
	case ctx.Err() != nil:
		return false, said, ctx.Err()
	case !strings.Contains(said, "=== RUN"):
		return false, said, errors.Join(fmt.Errorf("no test of %s matches %s", pkg, tests), err)
	case err == nil:
		return true, said, nil
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		return false, said, err
	}
	return false, said, nil
}
