package sfsim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures [New]. The zero value is good.
type Options struct {
	Now            func() time.Time // nil: time.Now
	Seed           uint64           // of ids and tokens; zero: random
	SessionTimeout time.Duration    // of orgs that name none; zero: two hours
	Keepalive      time.Duration    // of a Pub/Sub stream without events; zero: 270 seconds
	Switches       *Switches        // nil: DefaultSwitches
	// Canaries are texts that only the proxy's clients know: one of them in a
	// request's URL, headers or body is a violation. Shorter than 4 KiB each.
	Canaries []string
	// OnTokenAnswer is called for every token request, at each [Phase], on the
	// request's goroutine and without a lock held.
	OnTokenAnswer func(Exchange)
}

// Sim is a simulated Salesforce. All methods are safe for concurrent use.
type Sim struct {
	now      func() time.Time
	timeout  time.Duration
	hook     func(Exchange)
	mint     *mint
	ca       *authority
	switches atomic.Pointer[Switches]
	hosts    atomic.Pointer[map[string]host] // replaced whole, under mu
	accesses sync.Map                        // token string → *access; never shrinks
	faults   faults
	ledger   ledger
	bus      bus
	queries  shelf[soql] // by the id of their locators
	jobs     shelf[job]  // Bulk 1.0 and 2.0
	canaries atomic.Pointer[[]string]
	comet    comet

	mu        sync.Mutex // guards all below and what they point to
	apps      map[string]*app
	orgs      map[string]*org // by 18-character id
	grants    []*grant        // grant n is at n-1
	refreshes map[string]*refresh
	codes     map[string]*code
	busy      map[string]*refresh // exchanges under way, by token or by app and org

	assertions map[string]int // how often presented, by fingerprint
	otps       map[string]otp // unused one-time passwords
	others     []string       // secrets that no other field holds
	slots      int            // staged pairs ever made
}

type hostKind int

const (
	loginHost hostKind = iota
	myDomain
	aliasHost
	setupHost
	pubsubHost
)

type host struct {
	kind hostKind
	org  *org // nil for login hosts
}

// New returns a Sim without apps and orgs. It fails on negative durations and
// when the machine has no randomness for the CA.
func New(o Options) (*Sim, error) {
	if o.SessionTimeout < 0 || o.Keepalive < 0 {
		return nil, errors.New("sfsim: SessionTimeout or Keepalive is negative")
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("sfsim: making the CA: %w", err)
	}
	s := &Sim{
		now: o.Now, timeout: o.SessionTimeout, hook: o.OnTokenAnswer, ca: ca,
		apps: map[string]*app{}, orgs: map[string]*org{},
		refreshes: map[string]*refresh{}, codes: map[string]*code{}, busy: map[string]*refresh{},
		assertions: map[string]int{}, otps: map[string]otp{},
		bus: bus{keepalive: o.Keepalive, topics: map[string]*topic{}, commits: map[string]uint64{}},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.timeout == 0 {
		s.timeout = 2 * time.Hour
	}
	if s.bus.keepalive == 0 {
		s.bus.keepalive = defaultKeepalive
	}
	if s.hook == nil {
		s.hook = func(Exchange) {}
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	s.mint = newMint(o.Seed)
	w := DefaultSwitches()
	if o.Switches != nil {
		w = *o.Switches
	}
	s.switches.Store(&w)
	s.SetCanaries(o.Canaries...)
	s.hosts.Store(&map[string]host{"login.salesforce.com": {}, "test.salesforce.com": {},
		PubSubHost: {kind: pubsubHost}, PubSubHostGermany: {kind: pubsubHost}})
	return s, nil
}

// AddApp makes an app known to every org. It fails on a client id that is taken
// and on settings that Salesforce's Setup refuses.
func (s *Sim) AddApp(a App) error {
	if err := a.complete(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if taken, _ := s.credential(a.ClientID); taken != nil {
		return fmt.Errorf("sfsim: app %s exists", a.ClientID)
	}
	n := len(s.apps) + 1
	s.apps[a.ClientID] = &app{App: a, id: to18(fmt.Sprintf("0xIWt%010d", n)), consumer: to18(fmt.Sprintf("888Wt%010d", n))}
	return nil
}

// UpdateApp changes an app; its grants stay. A changed ClientID makes the former
// one unknown, as the rotation of an app's credentials does.
func (s *Sim) UpdateApp(clientID string, change func(*App)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap := s.apps[clientID]
	if ap == nil {
		return fmt.Errorf("sfsim: no app %s", clientID)
	}
	next := ap.App
	change(&next)
	if err := next.complete(); err != nil {
		return err
	}
	if next.ClientID != clientID && s.apps[next.ClientID] != nil {
		return fmt.Errorf("sfsim: app %s exists", next.ClientID)
	}
	delete(s.apps, clientID)
	s.others = append(s.others, ap.ClientSecret)
	ap.App = next
	s.apps[next.ClientID] = ap
	return nil
}

// AddOrg adds an org and returns it with its ids filled in.
func (s *Sim) AddOrg(o Org) (Org, error) {
	if o.Host == "" || o.SessionTimeout < 0 {
		return Org{}, errors.New("sfsim: an org needs a Host and no negative SessionTimeout")
	}
	if o.ID == "" {
		o.ID = s.mint.id("00D")
	}
	id, err := fullID(o.ID, "00D")
	if err != nil {
		return Org{}, err
	}
	o.ID, o.Host = id, strings.ToLower(o.Host)
	if o.SessionTimeout == 0 {
		o.SessionTimeout = s.timeout
	}
	o.Users = slices.Clone(o.Users)
	if len(o.Users) == 0 {
		o.Users = []User{{Username: "integration@" + o.Host}}
	}
	login := "https://login.salesforce.com"
	if o.Sandbox {
		login = "https://test.salesforce.com"
	}
	n := &org{instance: "https://" + o.Host}
	for i := range o.Users {
		if o.Users[i].ID == "" {
			o.Users[i].ID = s.mint.id("005")
		}
		if o.Users[i].ID, err = fullID(o.Users[i].ID, "005"); err != nil {
			return Org{}, err
		}
		n.users = append(n.users, &user{User: o.Users[i], identity: login + "/id/" + o.ID + "/" + o.Users[i].ID})
	}
	n.Org = o
	n.timeout.Store(int64(o.SessionTimeout))
	n.lockIP.Store(o.LockSessionsToIP)
	return o, s.register(n)
}

func (s *Sim) register(n *org) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orgs[n.ID] != nil {
		return fmt.Errorf("sfsim: org %s exists", n.ID)
	}
	hosts := map[string]host{}
	for k, v := range *s.hosts.Load() {
		hosts[k] = v
	}
	add := map[string]host{n.Host: {myDomain, n}}
	if md, ok := strings.CutSuffix(n.Host, ".my.salesforce.com"); ok {
		add[md+".my.salesforce-setup.com"] = host{setupHost, n}
	}
	for _, a := range n.Aliases {
		add[strings.ToLower(a)] = host{aliasHost, n}
	}
	for k, v := range add {
		if _, taken := hosts[k]; taken {
			return fmt.Errorf("sfsim: host %s is taken", k)
		}
		hosts[k] = v
	}
	s.orgs[n.ID] = n
	s.hosts.Store(&hosts)
	return nil
}

// orgUser finds an org by host or id, and a user of it by name or id; an empty
// name is the first user. Sim.mu is held.
func (s *Sim) orgUser(orgRef, username string) (*org, *user, error) {
	o := s.orgs[orgRef]
	if o == nil {
		o = (*s.hosts.Load())[strings.ToLower(orgRef)].org
	}
	if o == nil {
		return nil, nil, fmt.Errorf("sfsim: no org %q", orgRef)
	}
	u := o.user(username)
	if u == nil {
		return nil, nil, fmt.Errorf("sfsim: org %s has no user %q", o.Host, username)
	}
	return o, u, nil
}

// ServeHTTP answers one request to any Salesforce host. Faults that break the
// connection panic with [http.ErrAbortHandler], as net/http expects.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := cleanPath(r.URL.Path)
	name := hostOnly(r.Host)
	h, known := (*s.hosts.Load())[name]
	s.watch(r, name, p)
	if known && h.kind == pubsubHost {
		known = pubsubPort(r.Host)
	}
	if !known {
		s.ledger.violate(s.now(), UnknownHost, name, p, "no org has this host")
		http.Error(w, "unknown host", http.StatusNotFound)
		return
	}
	switch p {
	case "/services/oauth2/token":
		s.serveToken(w, r, name, h)
	case "/services/oauth2/introspect":
		s.serveOAuth(w, r, name, h, EndpointIntrospect, s.introspect)
	case "/services/oauth2/revoke":
		s.serveOAuth(w, r, name, h, EndpointRevoke, s.revoke)
	case "/services/oauth2/authorize":
		s.serveOAuth(w, r, name, h, EndpointAuthorize, s.authorize)
	default:
		s.serveAPI(w, r, p, name, h)
	}
}

// cleanPath drops doubled slashes and dot segments: the sf CLI sends
// //services/… and Salesforce serves it.
func cleanPath(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	return path.Clean("/" + p)
}

func hostOnly(h string) string {
	if i := strings.LastIndexByte(h, ':'); i >= 0 && strings.IndexByte(h[i:], ']') < 0 {
		if name, _, err := net.SplitHostPort(h); err == nil {
			h = name
		}
	}
	return strings.ToLower(h)
}

type closingKey struct{}

// before runs what a fault wants before the state changes. It reports false when
// the simulator's server closes.
func (s *Sim) before(ctx context.Context, f *Fault) bool {
	if f.Reached != nil {
		f.Reached()
	}
	return s.wait(ctx, f.Before, f.HoldBefore)
}

// wait blocks for d and then until hold is closed. It goes on when the caller
// has gone, as a server does that doesn't look, and reports false when the
// simulator's server closes.
func (s *Sim) wait(ctx context.Context, d time.Duration, hold <-chan struct{}) bool {
	closing, _ := ctx.Value(closingKey{}).(<-chan struct{})
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-closing:
			return false
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-closing:
			return false
		}
	}
	return true
}
