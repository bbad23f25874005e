package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ResourceOptions says how [ParseResources] resolves references. The zero value reads the process's own environment and
// any file.
type ResourceOptions struct {
	// LookupEnv finds an environment variable; nil: os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads a whole file; nil: one that reads at most [MaxReferenceFile] bytes of a regular file.
	ReadFile func(path string) ([]byte, error)
	// ReferenceDirs are the directories that file: references may point into, judged once symbolic links are
	// resolved. Nil: anywhere. Empty, not nil: nowhere.
	ReferenceDirs []string
	// Known reports whether an app (registry.KindApp) or an org (registry.KindOrg) is there already, so that a file
	// may refer to it. Nil: that isn't known here, and registry.Apply judges what the file itself lacks.
	Known func(kind, name string) bool
}

// MaxReferenceFile is the size in bytes of the largest file that a reference may name.
const MaxReferenceFile = 64 << 10

func (o ResourceOptions) withDefaults() ResourceOptions {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readSmall
	}
	return o
}

// resolve returns the value that s refers to, or s itself. base is the directory that relative paths start from.
func (o ResourceOptions) resolve(s, base string) (string, error) {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		value, _ := o.LookupEnv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %q is not set or empty", name)
		}
		return value, nil
	}
	path, ok := strings.CutPrefix(s, "file:")
	if !ok {
		return s, nil
	}
	if path == "" {
		return "", errors.New("file: is followed by no path")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	real, err := o.confine(path)
	if err != nil {
		return "", err
	}
	b, err := o.ReadFile(real)
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %w", path, cause(err))
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return value, nil
}

// confine returns the path without symbolic links when it lies inside one of the directories, and the path itself when
// files may lie anywhere. The path without links is the one to read, so that a link that is turned in between is not
// followed.
func (o ResourceOptions) confine(path string) (string, error) {
	if o.ReferenceDirs == nil {
		return path, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %w", path, cause(err))
	}
	for _, dir := range o.ReferenceDirs {
		realDir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue // A directory that isn't there holds no file.
		}
		if rel, err := filepath.Rel(realDir, real); err == nil && filepath.IsLocal(rel) {
			return real, nil
		}
	}
	return "", fmt.Errorf("the file %s lies outside the directories that references may point into (%s)",
		path, strings.Join(o.ReferenceDirs, ", "))
}

// cause drops the path of a file error, which the message has already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readSmall refuses what is no regular file, since a pipe or a device could block or never end.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	if info.Size() > MaxReferenceFile {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxReferenceFile)
	}
	return os.ReadFile(path)
}
