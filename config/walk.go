package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport/sallyport/internal/registry"
)

// walker reads values out of a tree, notes the line of each path, and gathers what is wrong.
type walker struct {
	opts   ResourceOptions
	base   string // Where relative file: references start.
	lines  map[string]int
	faults []registry.Fault
	broken map[string]bool // Paths with a fault already: what else is wrong with them says nothing new.
}

func (w *walker) fault(line int, path, format string, args ...any) {
	w.faults = append(w.faults, registry.Fault{Path: path, Line: line, Message: fmt.Sprintf(format, args...)})
	w.broken[path] = true
}

// field reads the value of one key.
type field func(path string, n ast.Node)

// object reads a mapping by its fields: an unknown key, one that stands twice and one without a value are faults. A key
// without a value could as well mean nothing as everything.
func (w *walker) object(path string, n ast.Node, fields map[string]field) {
	list, ok := entries(n)
	if !ok {
		w.fault(line(n), path, "a mapping (key: value) is wanted here")
		return
	}
	seen := map[string]int{}
	for _, e := range list {
		at := join(path, e.key)
		read, known := fields[e.key]
		if !known {
			w.fault(e.line, at, "there is no key %q here; the keys are %s", e.key, strings.Join(sorted(fields), ", "))
			continue
		}
		if first, ok := seen[e.key]; ok {
			w.fault(e.line, at, "the key %q stands twice, first in line %d", e.key, first)
			continue
		}
		seen[e.key], w.lines[at] = e.line, e.line
		if e.value == nil {
			w.fault(e.line, at, "the key has no value; leave it out for its default")
			continue
		}
		read(at, e.value)
	}
}

// items reads a sequence, one item after the other.
func (w *walker) items(path string, n ast.Node, read field) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		w.fault(line(n), path, "a list is wanted here")
		return
	}
	for i, v := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if v == nil || isEmpty(v) {
			w.fault(w.lines[path], at, "the item is empty")
			continue
		}
		w.lines[at] = line(v)
		read(at, v)
	}
}

func (w *walker) text(to *string) field {
	return func(path string, n ast.Node) {
		s, _, ok := scalar(n)
		if !ok {
			w.fault(line(n), path, "a text is wanted here")
			return
		}
		*to = s
	}
}

// value is text that may be a reference.
func (w *walker) value(set func(string)) field {
	return func(path string, n ast.Node) {
		var s string
		w.text(&s)(path, n)
		if w.broken[path] {
			return
		}
		if s == "" {
			w.fault(line(n), path, "the value is empty")
			return
		}
		s, err := w.opts.resolve(s, w.base)
		if err != nil {
			w.fault(line(n), path, "%v", err)
			return
		}
		set(s)
	}
}

func (w *walker) texts(set func([]string)) field {
	return func(path string, n ast.Node) {
		list := []string{}
		w.items(path, n, func(at string, n ast.Node) {
			var s string
			w.text(&s)(at, n)
			list = append(list, s)
		})
		set(list)
	}
}

func (w *walker) flag(to *bool) field {
	return func(path string, n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			w.fault(line(n), path, "true or false is wanted here, without quotes")
			return
		}
		*to = b.Value
	}
}

// number reads a number above zero.
func (w *walker) number(set func(float64), whole bool) field {
	return func(path string, n ast.Node) {
		s, quoted, ok := scalar(n)
		v, err := strconv.ParseFloat(s, 64)
		switch {
		case !ok || quoted || err != nil || whole && v != float64(int32(v)):
			if whole {
				w.fault(line(n), path, "a whole number is wanted here")
			} else {
				w.fault(line(n), path, "a number is wanted here")
			}
		case !(v > 0) || v > 1e9:
			w.fault(line(n), path, "it must be a number above 0")
		default:
			set(v)
		}
	}
}

// parsed reads text by a function that says what is wrong.
func (w *walker) parsed(read func(string) error) field {
	return func(path string, n ast.Node) {
		var s string
		w.text(&s)(path, n)
		if w.broken[path] {
			return
		}
		if err := read(s); err != nil {
			w.fault(line(n), path, "%v", err)
		}
	}
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil {
		return 0
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return m.Key.GetToken().Position.Line
	}
	return n.GetToken().Position.Line
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func sorted(fields map[string]field) []string {
	var keys []string
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
