package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// edit replaces a text that stands exactly once in a file.
type edit struct{ old, new string }

// mutant is the module without one guard.
type mutant struct {
	cases []int  // of the failure cases
	guard string // what is taken out, in words
	file  string // from the module's root
	edits []edit
	pkg   string // whose tests must notice, "./tokens"
	tests string // -test.run
}

// numbers are those of m's cases.
func (m mutant) numbers() string {
	var s []string
	for _, n := range m.cases {
		s = append(s, strconv.Itoa(n))
	}
	return strings.Join(s, " ")
}

// matches reports whether -run asks for m.
func (m mutant) matches(o options) bool {
	names := []string{m.guard, m.file}
	for _, n := range m.cases {
		names = append(names, "case "+strconv.Itoa(n))
	}
	for _, n := range names {
		if o.only.MatchString(n) {
			return true
		}
	}
	return false
}

// apply returns text as it is without the guard. It fails where an edit's text
// doesn't stand there exactly once.
func (m mutant) apply(text string) (string, error) {
	for _, e := range m.edits {
		switch n := strings.Count(text, e.old); {
		case e.old == e.new:
			return "", errors.New("an edit changes nothing")
		case n != 1:
			return "", fmt.Errorf("the guard moved: update the table: in %s this stands %d times:\n%s", m.file, n, e.old)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}

// in writes the mutant into the copy of the module at dir, and returns what
// puts the file back.
func (m mutant) in(dir string) (restore func() error, err error) {
	name := filepath.Join(dir, filepath.FromSlash(m.file))
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text, err := m.apply(string(b))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(name, b, 0o600) }, nil
}

// verdict is what became of a mutant.
type verdict string

// The verdicts.
const (
	red   verdict = "red"
	green verdict = "GREEN"
	fault verdict = "FAULT" // of the table
)

// result is one mutant's.
type result struct {
	mutant
	verdict verdict
	said    string // by the tests, or what is wrong with the table
	took    time.Duration
}
