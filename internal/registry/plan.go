package registry

import (
	"fmt"
	"slices"
	"sort"

	"github.com/sallyport/sallyport/internal/secret"
)

// effects are what [plan] needs from outside. They don't change anything.
type effects struct {
	live   func(key string) bool
	hash   func(secret.Text) (string, error)
	verify func(hash string, s secret.Text) bool
}

// planner computes the document after a change. It works on a copy.
type planner struct {
	checker
	effects
	old, next Document
	apps      map[string]bool // Names in the change.
	orgs      map[string]bool
	clients   map[string]bool
	renamed   map[string]string // Old name to new.
	items     []DiffItem
	rehomed   []string
}

// plan returns the document that old becomes by c, and what changes, or all faults of c. It fails otherwise only when a
// secret can't be hashed. With faults the document and the diff mean nothing.
func plan(old Document, c Change, e effects) (Document, Diff, []Fault, error) {
	p := &planner{
		checker: checker{change: normalise(c)}, effects: e,
		old: old, next: old.clone(),
		apps: map[string]bool{}, orgs: map[string]bool{}, clients: map[string]bool{}, renamed: map[string]string{},
	}
	p.next.Version = schema
	p.check()
	p.collect()
	for i, a := range p.change.Apps {
		p.planApp(fmt.Sprintf("apps[%d]", i), a)
	}
	var seeds []Seed
	for i, o := range p.change.Orgs {
		key := p.planOrg(fmt.Sprintf("orgs[%d]", i), o)
		if !o.Seed.IsZero() && !o.Disabled {
			seeds = append(seeds, Seed{Org: o.Name, Key: key, Token: o.Seed})
		}
	}
	p.checkRehome()
	p.homes()
	p.renameInClients()
	for i, cl := range p.change.Clients {
		if err := p.planClient(fmt.Sprintf("clients[%d]", i), cl); err != nil {
			return Document{}, Diff{}, nil, err
		}
	}
	if c.Prune {
		p.prune()
	}
	p.certificateOwners()
	if len(p.faults) > 0 {
		return Document{}, Diff{}, p.faults, nil
	}
	p.next.sort()
	if c.DryRun {
		seeds = nil
	}
	return p.next, Diff{Items: p.items, DryRun: c.DryRun, Rehomed: p.rehomed, Seeds: seeds}, nil, nil
}

// collect notes the names in the change and which orgs it renames.
func (p *planner) collect() {
	for _, a := range p.change.Apps {
		p.apps[a.Name] = true
	}
	for _, o := range p.change.Orgs {
		p.orgs[o.Name] = true
	}
	for _, c := range p.change.Clients {
		p.clients[c.Name] = true
	}
	for i, o := range p.change.Orgs {
		prev := o.PreviousName
		if prev == "" || prev == o.Name || p.old.org(prev) < 0 {
			continue
		}
		path := fmt.Sprintf("orgs[%d].previousName", i)
		switch first, taken := p.renamed[prev]; {
		case p.old.org(o.Name) >= 0:
			p.fault(path, "there are orgs %q and %q both, and one cannot become the other; take another name", prev, o.Name)
		case taken:
			p.fault(path, "org %q becomes %q already", prev, first)
		default:
			p.renamed[prev] = o.Name
		}
	}
}

func (p *planner) planApp(path string, a App) {
	i := p.next.app(a.Name)
	a.Disabled = false
	if i < 0 {
		if a.ClientSecret.IsZero() {
			p.fault(path+".clientSecret", "the app %q is new and has no clientSecret", a.Name)
		}
		p.next.Apps = append(p.next.Apps, a)
		p.item(KindApp, a.Name, ActionCreated, nil)
		return
	}
	was := p.next.Apps[i]
	if a.ClientSecret.IsZero() {
		a.ClientSecret = was.ClientSecret
	}
	p.next.Apps[i] = a
	p.item(KindApp, a.Name, "", appFields(was, a))
}

// planOrg returns the org's key.
func (p *planner) planOrg(path string, c OrgChange) string {
	if !p.apps[c.App] && c.App != "" {
		switch i := p.old.app(c.App); {
		case i < 0:
			p.fault(path+".app", "there is no app %q", c.App)
		case p.change.Prune && !c.Disabled:
			p.fault(path+".app", "the app %q is not in this change, and pruning would disable it", c.App)
		case p.old.Apps[i].Disabled && !c.Disabled:
			p.fault(path+".app", "the app %q is disabled; apply it together with the org", c.App)
		}
	}
	o := c.Org
	i := p.old.org(o.Name)
	action := ""
	if i < 0 && p.renamed[o.PreviousName] == o.Name {
		i, action = p.old.org(o.PreviousName), ActionRenamed
	}
	if i < 0 {
		for _, other := range p.old.Orgs {
			if other.Key == o.Name {
				p.fault(path+".name", "the name %q still keys the grant of org %q, which had it first; take another name",
					o.Name, other.Name)
			}
		}
		o.Key = o.Name
		p.next.Orgs = append(p.next.Orgs, o)
		p.item(KindOrg, o.Name, ActionCreated, nil)
		return o.Key
	}
	was := p.old.Orgs[i]
	o.Key = was.Key
	if o.PreviousName == "" {
		o.PreviousName = was.PreviousName
	}
	p.next.Orgs[i] = o
	p.item(KindOrg, o.Name, action, orgFields(was, o))
	return o.Key
}

func (p *planner) checkRehome() {
	for i, name := range p.change.Rehome {
		if p.old.org(name) < 0 && p.next.org(name) < 0 {
			p.fault(fmt.Sprintf("rehome[%d]", i), "there is no org %q", name)
		}
	}
}

// homes refuses to move an org with a live grant to another app, client id or login host unless the change says so: the
// grant was given to that app at that host, and would be lost.
func (p *planner) homes() {
	for i, was := range p.old.Orgs {
		now := p.next.Orgs[i]
		var path, what string
		switch {
		case was.App != now.App:
			path, what = p.orgPath(now.Name)+".app", "app"
		case was.LoginHost() != now.LoginHost():
			path, what = p.orgPath(now.Name)+".loginUrl", "login host"
		case p.clientID(p.old, was.App) != p.clientID(p.next, now.App):
			path, what = p.appPath(now.App)+".clientId", "client id"
		default:
			continue
		}
		switch {
		case !p.live(was.Key):
		case slices.Contains(p.change.Rehome, was.Name), slices.Contains(p.change.Rehome, now.Name):
			p.rehomed = append(p.rehomed, was.Key)
		default:
			p.fault(path, "org %q has a live grant, which is lost when its %s changes; "+
				"if that is meant, apply with --rehome %s", now.Name, what, now.Name)
		}
	}
}

func (p *planner) orgPath(name string) string {
	i := slices.IndexFunc(p.change.Orgs, func(o OrgChange) bool { return o.Name == name })
	return fmt.Sprintf("orgs[%d]", i)
}

func (p *planner) appPath(name string) string {
	i := slices.IndexFunc(p.change.Apps, func(a App) bool { return a.Name == name })
	return fmt.Sprintf("apps[%d]", i)
}

func (p *planner) clientID(d Document, app string) string {
	if i := d.app(app); i >= 0 {
		return d.Apps[i].ClientID
	}
	return ""
}

// item notes what became of a resource; an empty action is updated or unchanged, by the fields.
func (p *planner) item(kind, name, action string, fields []string) {
	if action == "" {
		action = ActionUnchanged
		if len(fields) > 0 {
			action = ActionUpdated
		}
	}
	sort.Strings(fields)
	p.items = append(p.items, DiffItem{Kind: kind, Name: name, Action: action, Fields: fields})
}
