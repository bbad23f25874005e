package registry

import "slices"

// Snapshot is the registry at one moment. It never changes, so it needs no lock; what it returns is shared and must not
// be written to. Lookups don't allocate. Host names are looked up as they are: lower-case, without a port.
type Snapshot struct {
	generation uint64
	everMade   bool
	apps       []*App
	orgs       []*Org
	clients    []*Client
	appNames   map[string]*App
	orgNames   map[string]*Org
	orgKeys    map[string]*Org
	clientName map[string]*Client
	hosts      map[string][]*Org
	claimed    map[string]struct{}
	may        map[string]map[string]struct{} // Client name to org keys.
	certified  map[string][]*Client           // Entry of a client's certificates to the enabled clients that have it.
}

// newSnapshot indexes d. instance has the host of the instance URL by org key.
func newSnapshot(d Document, instance map[string]string, generation uint64) *Snapshot {
	s := &Snapshot{
		generation: generation,
		everMade:   d.ClientsEverMade,
		appNames:   make(map[string]*App, len(d.Apps)),
		orgNames:   make(map[string]*Org, len(d.Orgs)),
		orgKeys:    make(map[string]*Org, len(d.Orgs)),
		clientName: make(map[string]*Client, len(d.Clients)),
		hosts:      make(map[string][]*Org),
		claimed:    make(map[string]struct{}),
		may:        make(map[string]map[string]struct{}, len(d.Clients)),
		certified:  make(map[string][]*Client),
	}
	for _, a := range d.Apps {
		s.apps = append(s.apps, &a)
		s.appNames[a.Name] = &a
	}
	var enabled []*Org
	for _, o := range d.Orgs {
		s.orgs = append(s.orgs, &o)
		s.orgNames[o.Name], s.orgKeys[o.Key] = &o, &o
		if !o.Disabled {
			enabled = append(enabled, &o)
		}
		for _, h := range orgHosts(o, instance[o.Key]) {
			s.claimed[h] = struct{}{}
			if !o.Disabled && !slices.Contains(sharedHosts, h) {
				s.hosts[h] = append(s.hosts[h], &o)
			}
		}
	}
	if len(s.orgs) > 0 {
		for _, h := range sharedHosts {
			s.claimed[h] = struct{}{}
			s.hosts[h] = enabled
		}
	}
	for _, c := range d.Clients {
		s.clients = append(s.clients, &c)
		s.clientName[c.Name] = &c
		keys := make(map[string]struct{}, len(c.Orgs))
		for _, name := range c.Orgs {
			if o := s.orgNames[name]; o != nil {
				keys[o.Key] = struct{}{}
			}
		}
		s.may[c.Name] = keys
		for _, entry := range c.Certificates {
			if !c.Disabled {
				s.certified[entry] = append(s.certified[entry], &c)
			}
		}
	}
	return s
}

// orgHosts are the hosts that o claims for itself.
func orgHosts(o Org, instance string) []string {
	if len(o.Hosts) > 0 {
		return o.Hosts
	}
	hosts := []string{o.LoginHost()}
	if instance != "" && instance != hosts[0] {
		hosts = append(hosts, instance)
	}
	return hosts
}

// Generation grows with each change: what was derived from a snapshot holds for that generation.
func (s *Snapshot) Generation() uint64 { return s.generation }

// ClientsEverMade reports whether there ever was a client.
func (s *Snapshot) ClientsEverMade() bool { return s.everMade }

// Apps returns all apps by name.
func (s *Snapshot) Apps() []*App { return s.apps }

// Orgs returns all orgs by name, disabled ones too.
func (s *Snapshot) Orgs() []*Org { return s.orgs }

// Clients returns all clients by name, disabled ones too.
func (s *Snapshot) Clients() []*Client { return s.clients }

// App returns the app of that name, or nil.
func (s *Snapshot) App(name string) *App { return s.appNames[name] }

// Org returns the org of that name, disabled or not, or nil.
func (s *Snapshot) Org(name string) *Org { return s.orgNames[name] }

// OrgByKey returns the org of that key, disabled or not, or nil.
func (s *Snapshot) OrgByKey(key string) *Org { return s.orgKeys[key] }

// Client returns the client of that name, disabled or not, or nil.
func (s *Snapshot) Client(name string) *Client { return s.clientName[name] }

// ClientsByCertificate returns the enabled clients that have entry, as dns:NAME or spiffe://TRUST-DOMAIN/PATH, among
// their certificates. There is one at most, unless the document wasn't made by [Registry.Apply].
func (s *Snapshot) ClientsByCertificate(entry string) []*Client { return s.certified[entry] }

// OrgsForHost returns the enabled orgs that claim host, by name. Shared hosts are claimed by all.
func (s *Snapshot) OrgsForHost(host string) []*Org { return s.hosts[host] }

// Claimed reports whether any org, a disabled one too, claims host. Such a host is never tunnelled.
func (s *Snapshot) Claimed(host string) bool {
	_, ok := s.claimed[host]
	return ok
}

// MayUse reports whether the client of that name is enabled and may use the org of that key, which is enabled.
func (s *Snapshot) MayUse(client, key string) bool {
	c, o := s.clientName[client], s.orgKeys[key]
	if c == nil || o == nil || c.Disabled || o.Disabled {
		return false
	}
	_, ok := s.may[client][key]
	return ok
}

// HostsOf returns the hosts that the org of that key claims for itself, shared hosts left out unless its login URL or
// its hosts name them. It allocates.
func (s *Snapshot) HostsOf(key string) []string {
	o := s.orgKeys[key]
	if o == nil {
		return nil
	}
	if len(o.Hosts) > 0 {
		return slices.Clone(o.Hosts)
	}
	var hosts []string
	for h, orgs := range s.hosts {
		if slices.Contains(orgs, o) && (!slices.Contains(sharedHosts, h) || h == o.LoginHost()) {
			hosts = append(hosts, h)
		}
	}
	slices.Sort(hosts)
	return hosts
}
