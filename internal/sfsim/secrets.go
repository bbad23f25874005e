package sfsim

import (
	"fmt"
	"slices"
	"strings"
)

// Secrets returns every secret that the simulator holds or ever handed out: the
// apps' secrets (staged ones too), refresh tokens, access tokens, UI sessions of
// hybrid grants, authorization codes and one-time passwords. It is for tests
// that search logs, errors and files for them.
func (s *Sim) Secrets() []string {
	s.mu.Lock()
	out := slices.Clone(s.others)
	for _, ap := range s.apps {
		out = append(out, ap.ClientSecret)
	}
	for t := range s.refreshes {
		out = append(out, t)
	}
	for t := range s.codes {
		out = append(out, t)
	}
	s.mu.Unlock()
	s.accesses.Range(func(t, _ any) bool {
		out = append(out, t.(string))
		return true
	})
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(t string) bool { return t == "" })
}

// Err returns an error that lists the violations, or nil if there are none but
// of the excepted kinds.
func (l Ledger) Err(except ...ViolationKind) error {
	var lines []string
	for _, v := range l.Violations {
		if !slices.Contains(except, v.Kind) {
			lines = append(lines, fmt.Sprintf("%s at %s%s: %s", v.Kind, v.Host, v.Path, v.Detail))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("sfsim: %d violations:\n%s", len(lines), strings.Join(lines, "\n"))
}
