package admin

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

func (s *Server) listApps(*http.Request) (reply, error) {
	l := appList{Apps: []App{}}
	for _, a := range s.o.Registry.Snapshot().Apps() {
		l.Apps = append(l.Apps, App{Name: a.Name, ClientID: a.ClientID, HasClientSecret: !a.ClientSecret.IsZero(), Disabled: a.Disabled})
	}
	return ok(l), nil
}

func (s *Server) listClients(*http.Request) (reply, error) {
	l := clientList{Clients: []ProxyClient{}}
	for _, c := range s.o.Registry.Snapshot().Clients() {
		p := ProxyClient{Client: *c, Secrets: len(c.SecretHashes)}
		p.SecretHashes = nil
		l.Clients = append(l.Clients, p)
	}
	return ok(l), nil
}

func (s *Server) addClientSecret(r *http.Request) (reply, error) {
	made, err := s.o.Registry.AddClientSecret(r.Context(), r.PathValue("name"))
	if err != nil {
		return reply{}, err
	}
	return ok(clientSecret{made.Reveal()}), nil
}

func (s *Server) listOrgs(*http.Request) (reply, error) {
	l := orgList{Orgs: []Org{}}
	snapshot := s.o.Registry.Snapshot()
	for _, o := range snapshot.Orgs() {
		l.Orgs = append(l.Orgs, s.viewOrg(snapshot, o))
	}
	return ok(l), nil
}

func (s *Server) showOrg(r *http.Request) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	return s.orgReply(o)
}

// org finds the org that the path names, disabled or not.
func (s *Server) org(r *http.Request) (*registry.Org, error) {
	name := r.PathValue("name")
	if o := s.o.Registry.Snapshot().Org(name); o != nil {
		return o, nil
	}
	return nil, &registry.UnknownError{Kind: registry.KindOrg, Name: name}
}

func (s *Server) orgReply(o *registry.Org) (reply, error) {
	return ok(s.viewOrg(s.o.Registry.Snapshot(), o)), nil
}

func (s *Server) viewOrg(snapshot *registry.Snapshot, o *registry.Org) Org {
	v := Org{Name: o.Name, App: o.App, Hosts: snapshot.HostsOf(o.Key), GrantKind: o.Grant, LoginURL: o.LoginURL,
		Disabled: o.Disabled, PreviousName: o.PreviousName, Key: o.Key}
	if v.Hosts == nil {
		v.Hosts = []string{}
	}
	if o.SessionTimeout > 0 {
		v.SessionTimeout = o.SessionTimeout.String()
	}
	if st, ok := s.o.Grants.Status(tokens.OrgID(o.Key)); ok {
		v.Grant = viewGrant(st)
	}
	return v
}

func viewGrant(st tokens.Status) *Grant {
	g := &Grant{
		Kind: st.Kind, State: st.State.String(), Reason: string(st.Reason), Epoch: st.Place.Epoch, Generation: st.Place.Generation,
		IssuedAt: at(st.IssuedAt), ExpiresAt: at(st.ExpiresAt), LastExchangeAt: at(st.LastExchange), HeartbeatDueAt: at(st.HeartbeatDue),
		EgressAddress: st.Address, Live: st.Live, Verified: st.Verified, Truthful: !st.Truthful.IsZero(), Rotation: st.Rotation.String(),
		Detail: st.Detail, EnrolledAt: at(st.EnrolledAt), AskAt: at(st.AskAt), Instance: st.InstanceURL, Orphans: st.Orphans,
	}
	if a := st.Attempt; a != nil {
		g.Attempt = &Attempt{ID: string(a.ID), Replica: a.Replica, Reason: a.Cause, StartedAt: a.Start.UTC()}
	}
	return g
}
