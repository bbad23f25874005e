package registry

import (
	"fmt"
	"slices"
)

// planClient fails only when a secret can't be hashed.
func (p *planner) planClient(path string, c ClientChange) error {
	for i, name := range c.Orgs {
		p.clientOrg(fmt.Sprintf("%s.orgs[%d]", path, i), name)
	}
	i := p.next.client(c.Name)
	var was Client
	if i >= 0 {
		was = p.next.Clients[i]
	}
	next := c.Client
	next.SecretHashes = was.SecretHashes
	rekeyed := !c.Secret.IsZero() && !slices.ContainsFunc(next.SecretHashes, func(h string) bool { return p.verify(h, c.Secret) })
	if rekeyed && !p.change.DryRun {
		h, err := p.hash(c.Secret)
		if err != nil {
			return fmt.Errorf("client %q: %w", c.Name, err)
		}
		next.SecretHashes = addHash(next.SecretHashes, h)
	}
	if i < 0 {
		p.next.Clients = append(p.next.Clients, next)
		p.next.ClientsEverMade = true
		p.item(KindClient, c.Name, ActionCreated, nil)
		return nil
	}
	fields := clientFields(was, next)
	if rekeyed {
		fields = append(fields, "secret")
	}
	p.next.Clients[i] = next
	p.item(KindClient, c.Name, "", fields)
	return nil
}

func (p *planner) clientOrg(path, name string) {
	switch to, renamed := p.renamed[name]; {
	case renamed:
		p.fault(path, "the org %q is renamed to %q by this change; write the new name", name, to)
	case p.orgs[name]:
	case p.old.org(name) < 0:
		p.fault(path, "there is no org %q", name)
	case p.change.Prune:
		p.fault(path, "the org %q is not in this change, and pruning would disable it", name)
	}
}

// renameInClients lets clients that the change doesn't touch follow a renamed org.
func (p *planner) renameInClients() {
	for i, c := range p.next.Clients {
		if p.clients[c.Name] {
			continue
		}
		orgs := slices.Clone(c.Orgs)
		for j, name := range orgs {
			if to, ok := p.renamed[name]; ok {
				orgs[j] = to
			}
		}
		if !slices.Equal(orgs, c.Orgs) {
			p.next.Clients[i].Orgs = orgs
			p.item(KindClient, c.Name, ActionUpdated, []string{"orgs"})
		}
	}
}

// prune disables what the change lacks.
func (p *planner) prune() {
	for i, a := range p.next.Apps {
		if !p.apps[a.Name] && !a.Disabled {
			p.next.Apps[i].Disabled = true
			p.item(KindApp, a.Name, ActionDisabled, nil)
		}
	}
	for i, o := range p.next.Orgs {
		if !p.orgs[o.Name] && !o.Disabled {
			p.next.Orgs[i].Disabled = true
			p.item(KindOrg, o.Name, ActionDisabled, nil)
		}
	}
	for i, c := range p.next.Clients {
		if !p.clients[c.Name] && !c.Disabled {
			p.next.Clients[i].Disabled = true
			p.item(KindClient, c.Name, ActionDisabled, nil)
		}
	}
}
