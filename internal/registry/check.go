package registry

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checker gathers the faults of one change, each with the line where its path stands.
type checker struct {
	change Change
	faults []Fault
}

func (k *checker) fault(path, format string, args ...any) {
	k.faults = append(k.faults, Fault{Path: path, Line: k.change.line(path), Message: fmt.Sprintf(format, args...)})
}

// line finds the line of path, or of the nearest thing that holds it.
func (c Change) line(path string) int {
	for path != "" {
		if n, ok := c.Lines[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 0
}

// Check tells all that is wrong with c by itself, whatever the registry holds: an [InvalidError], or nil. What it can't
// see, [Registry.Apply] does: dangling references, names that are taken, live grants.
func Check(c Change) error {
	k := &checker{change: normalise(c)}
	k.check()
	return NewInvalidError(c.Source, k.faults)
}

func (k *checker) check() {
	apps, orgs, clients := map[string]int{}, map[string]int{}, map[string]int{}
	seeds := map[string]string{}
	for i, a := range k.change.Apps {
		path := fmt.Sprintf("apps[%d]", i)
		k.name(path, KindApp, a.Name, i, apps)
		k.app(path, a)
	}
	for i, o := range k.change.Orgs {
		path := fmt.Sprintf("orgs[%d]", i)
		k.name(path, KindOrg, o.Name, i, orgs)
		k.org(path, o)
		if o.Seed.IsZero() {
			continue
		}
		if other, ok := seeds[o.Seed.Reveal()]; ok {
			k.fault(path+".refreshToken", "orgs %q and %q have the same refresh token: one grant is one org", other, o.Name)
		}
		seeds[o.Seed.Reveal()] = o.Name
	}
	for i, o := range k.change.Orgs {
		if _, ok := orgs[o.PreviousName]; ok && o.PreviousName != o.Name {
			k.fault(fmt.Sprintf("orgs[%d].previousName", i), "an org %q is in the same change: an org that was renamed has "+
				"its new name only", o.PreviousName)
		}
	}
	for i, c := range k.change.Clients {
		path := fmt.Sprintf("clients[%d]", i)
		k.name(path, KindClient, c.Name, i, clients)
		k.client(path, c)
	}
	k.oneOwner()
}

// name checks the form of a name and that it stands once.
func (k *checker) name(path, kind, name string, i int, seen map[string]int) {
	path += ".name"
	if name == "" {
		k.fault(path, "the %s has no name", kind)
		return
	}
	if !nameForm.MatchString(name) {
		k.fault(path, "%q is no name: 1 to 63 of a-z, 0-9 and -, neither beginning nor ending with -", name)
	}
	if first, ok := seen[name]; ok {
		at := fmt.Sprintf("%ss[%d]", kind, first)
		if n := k.change.line(at); n > 0 {
			at = fmt.Sprintf("line %d", n)
		}
		k.fault(path, "the %s %q is named twice, first at %s", kind, name, at)
		return
	}
	seen[name] = i
}

func (k *checker) app(path string, a App) {
	if a.ClientID == "" {
		k.fault(path+".clientId", "the app has no clientId")
	} else if !printable(a.ClientID) {
		k.fault(path+".clientId", "the clientId has a space or a control character in it")
	}
	if !printable(a.ClientSecret.Reveal()) {
		k.fault(path+".clientSecret", "the clientSecret has a space or a control character in it")
	}
}

// unique faults every repetition in a list.
func (k *checker) unique(path string, list []string) {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			k.fault(fmt.Sprintf("%s[%d]", path, i), "%q stands twice", s)
		}
	}
}

// notEmpty faults a list that is there and empty, where leaving it out means everything.
func (k *checker) notEmpty(path string, list []string) {
	if list != nil && len(list) == 0 {
		k.fault(path, "the list is empty; leave it out for the default, or name something")
	}
}

// printable reports whether s is printable ASCII without a space, as OAuth's client ids, secrets and tokens are.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// normalise fills in defaults and puts URLs into their one form. It leaves its argument as it is.
func normalise(c Change) Change {
	c.Orgs, c.Clients = slices.Clone(c.Orgs), slices.Clone(c.Clients)
	for i := range c.Orgs {
		o := &c.Orgs[i]
		if o.Grant == "" {
			o.Grant = GrantRefreshToken
		}
		o.LoginURL = normalURL(o.LoginURL)
		o.Egress = o.Egress.Unmap()
	}
	for i := range c.Clients {
		if c.Clients[i].Mode == "" {
			c.Clients[i].Mode = ModeEnforce
		}
	}
	return c
}
