package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// ParseResources reads a resources file of at most registry.MaxChange bytes and resolves its references. file is its
// name, for faults; relative file: references start from its directory. It fails with a registry.InvalidError that
// lists every fault with its line. What only the registry can judge, registry.Apply does, with the same lines.
func ParseResources(r io.Reader, file string, opts ResourceOptions) (registry.Change, error) {
	b, err := io.ReadAll(io.LimitReader(r, registry.MaxChange+1))
	if err != nil {
		return registry.Change{}, fmt.Errorf("read %s: %w", file, err)
	}
	if len(b) > registry.MaxChange {
		return registry.Change{}, registry.NewInvalidError(file, []registry.Fault{
			{Message: fmt.Sprintf("it is larger than %d bytes", registry.MaxChange)},
		})
	}
	root, faults := parseYAML(b)
	if len(faults) > 0 {
		return registry.Change{}, registry.NewInvalidError(file, faults)
	}
	w := &walker{opts: opts.withDefaults(), base: filepath.Dir(file), lines: map[string]int{}, broken: map[string]bool{}}
	c := registry.Change{Source: file, Lines: w.lines}
	if root != nil {
		w.object("", root, map[string]field{
			"apps": func(path string, n ast.Node) {
				w.items(path, n, func(path string, n ast.Node) { c.Apps = append(c.Apps, w.app(path, n)) })
			},
			"orgs": func(path string, n ast.Node) {
				w.items(path, n, func(path string, n ast.Node) { c.Orgs = append(c.Orgs, w.org(path, n)) })
			},
			"clients": func(path string, n ast.Node) {
				w.items(path, n, func(path string, n ast.Node) { c.Clients = append(c.Clients, w.client(path, n)) })
			},
		})
	}
	w.checked(c)
	w.dangling(c)
	if err := registry.NewInvalidError(file, w.faults); err != nil {
		return registry.Change{}, err
	}
	return c, nil
}

// checked adds the faults that the registry finds, except where reading failed already.
func (w *walker) checked(c registry.Change) {
	var invalid *registry.InvalidError
	if !errors.As(registry.Check(c), &invalid) {
		return
	}
	for _, f := range invalid.Faults {
		if !w.broken[f.Path] {
			w.faults = append(w.faults, f)
		}
	}
}

// dangling adds a fault for each reference to what is neither in the file nor known.
func (w *walker) dangling(c registry.Change) {
	if w.opts.Known == nil {
		return
	}
	for i, o := range c.Orgs {
		if o.App != "" && !slices.ContainsFunc(c.Apps, func(a registry.App) bool { return a.Name == o.App }) &&
			!w.opts.Known(registry.KindApp, o.App) {
			path := fmt.Sprintf("orgs[%d].app", i)
			w.fault(w.lines[path], path, "there is no app %q", o.App)
		}
	}
	for i, cl := range c.Clients {
		for j, name := range cl.Orgs {
			if name != "" && !slices.ContainsFunc(c.Orgs, func(o registry.OrgChange) bool { return o.Name == name }) &&
				!w.opts.Known(registry.KindOrg, name) {
				path := fmt.Sprintf("clients[%d].orgs[%d]", i, j)
				w.fault(w.lines[path], path, "there is no org %q", name)
			}
		}
	}
}

func (w *walker) secret(to *secret.Text) field {
	return w.value(func(s string) { *to = secret.NewText(s) })
}

func (w *walker) app(path string, n ast.Node) (a registry.App) {
	w.object(path, n, map[string]field{
		"name":         w.text(&a.Name),
		"clientId":     w.value(func(s string) { a.ClientID = s }),
		"clientSecret": w.secret(&a.ClientSecret),
	})
	return a
}

func (w *walker) org(path string, n ast.Node) (o registry.OrgChange) {
	w.object(path, n, map[string]field{
		"name":         w.text(&o.Name),
		"app":          w.text(&o.App),
		"loginUrl":     w.text(&o.LoginURL),
		"hosts":        w.texts(func(l []string) { o.Hosts = l }),
		"grant":        w.text(&o.Grant),
		"refreshToken": w.secret(&o.Seed),
		"sessionTimeout": w.parsed(func(s string) (err error) {
			o.SessionTimeout, err = registry.ParseSessionTimeout(s)
			return err
		}),
		"disabled":     w.flag(&o.Disabled),
		"previousName": w.text(&o.PreviousName),
		"egress": w.parsed(func(s string) (err error) {
			if o.Egress, err = netip.ParseAddr(s); err != nil {
				return fmt.Errorf("%q is no IP address", s)
			}
			return nil
		}),
		"foreignHosts": w.flag(&o.ForeignHosts),
	})
	return o
}

func (w *walker) client(path string, n ast.Node) (c registry.ClientChange) {
	w.object(path, n, map[string]field{
		"name":         w.text(&c.Name),
		"secret":       w.secret(&c.Secret),
		"orgs":         w.texts(func(l []string) { c.Orgs = l }),
		"methods":      w.texts(func(l []string) { c.Methods = l }),
		"paths":        w.texts(func(l []string) { c.Paths = l }),
		"certificates": w.texts(func(l []string) { c.Certificates = l }),
		"passthrough":  w.texts(func(l []string) { c.Passthrough = &l }),
		"limits": func(path string, n ast.Node) {
			w.object(path, n, map[string]field{
				"requestsPerSecond": w.number(func(v float64) { c.Limits.RequestsPerSecond = v }, false),
				"concurrent":        w.number(func(v float64) { c.Limits.Concurrent = int(v) }, true),
			})
		},
		"mode":      w.text(&c.Mode),
		"composite": w.flag(&c.Composite),
		"allow":     w.texts(func(l []string) { c.Allow = l }),
		"traces":    w.text(&c.Traces),
		"disabled":  w.flag(&c.Disabled),
	})
	return c
}
