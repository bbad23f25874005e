// Package lab runs a real sallyport process against a simulated Salesforce on
// loopback: the ground of the demo and of the tests that kill real processes.
package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// The app and the client that a lab registers.
const (
	ClientID     = "3MVG9.lab.client"
	ClientSecret = "lab-app-secret-of-no-worth"
	Client       = "billing"
)

// Options of a [Lab].
type Options struct {
	// Binary is the sallyport to run, such as os.Executable's.
	Binary string
	// Dir is for the state directory and the files; it must be empty.
	Dir string
	// Orgs are the names of the orgs, one grant each.
	Orgs []string
	// Session is the session timeout of every org.
	Session time.Duration
	// Env is added to the environment of serve, NAME=value.
	Env []string
	// Stderr gets what serve says; nil: nobody.
	Stderr io.Writer
}

// Lab is a simulated Salesforce and a sallyport in front of it. It is used by
// one goroutine, but for [Lab.Call].
type Lab struct {
	o      Options
	Sim    *sfsim.Sim
	server *sfsim.Server
	peer   bool // the simulator is another's
	Grants map[string]sfsim.Grant

	Secret string // of the client named Client
	Proxy  string // host:port of the proxy
	Admin  string // host:port of the admin listener
	Roots  *x509.CertPool
	CAPEM  []byte
	// Env is the whole environment of serve.
	Env []string

	hook    atomic.Pointer[func(sfsim.Exchange)]
	process *process
}

// New starts the simulator with its orgs and writes the files that serve needs.
// The proxy isn't running yet, see [Lab.Start].
func New(o Options) (*Lab, error) {
	l := &Lab{o: o, Grants: map[string]sfsim.Grant{}, Secret: "billing-proxy-secret-of-no-worth"}
	var err error
	l.Sim, err = sfsim.New(sfsim.Options{SessionTimeout: o.Session, OnTokenAnswer: func(e sfsim.Exchange) {
		if f := l.hook.Load(); f != nil {
			(*f)(e)
		}
	}})
	if err != nil {
		return nil, err
	}
	err = l.Sim.AddApp(sfsim.App{ClientID: ClientID, ClientSecret: ClientSecret, RTR: true, PKCE: true, SecretRequiredForRefresh: true,
		RedirectURIs: []string{"http://127.0.0.1:1717/callback"}})
	if err != nil {
		return nil, err
	}
	for _, name := range o.Orgs {
		if _, err := l.Sim.AddOrg(sfsim.Org{Host: Host(name)}); err != nil {
			return nil, err
		}
		if l.Grants[name], err = l.Sim.Authorize(ClientID, Host(name), ""); err != nil {
			return nil, err
		}
	}
	if l.server, err = l.Sim.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}
	return l, errors.Join(l.prepare())
}

// Peer is another sallyport in front of the same Salesforce, with a state
// directory in dir, which must be empty. Close it before l.
func (l *Lab) Peer(dir string) (*Lab, error) {
	p := &Lab{o: l.o, Sim: l.Sim, server: l.server, peer: true, Grants: l.Grants, Secret: l.Secret}
	p.o.Dir = dir
	return p, p.prepare()
}

// Host is the My Domain host of the org called name.
func Host(name string) string { return name + ".my.salesforce.com" }

// SalesforceAddr is the loopback address of the simulator.
func (l *Lab) SalesforceAddr() string { return l.server.Addr() }

// OnTokenAnswer has f called at each phase of each token request from now on.
func (l *Lab) OnTokenAnswer(f func(sfsim.Exchange)) { l.hook.Store(&f) }

func (l *Lab) path(name string) string { return filepath.Join(l.o.Dir, name) }

// StateDir is the state directory of serve.
func (l *Lab) StateDir() string { return l.path("state") }

// CAFile is where the proxy's CA is kept for clients, once it is running.
func (l *Lab) CAFile() string { return l.path("sallyport-ca.pem") }

func (l *Lab) prepare() error {
	var err error
	if l.Proxy, err = freeAddr(); err != nil {
		return err
	}
	if l.Admin, err = freeAddr(); err != nil {
		return err
	}
	if err := os.WriteFile(l.path("salesforce-ca.pem"), l.Sim.CAPEM(), 0o600); err != nil {
		return err
	}
	var resolve []string
	var orgs strings.Builder
	for _, name := range l.o.Orgs {
		resolve = append(resolve, Host(name)+":443="+l.server.Addr())
		fmt.Fprintf(&orgs, "  - {name: %s, app: lab, loginUrl: 'https://%s', grant: refresh_token, refreshToken: env:%s, sessionTimeout: %s}\n",
			name, Host(name), seedVariable(name), l.o.Session)
	}
	resources := "apps:\n  - {name: lab, clientId: '" + ClientID + "', clientSecret: env:LAB_CLIENT_SECRET}\norgs:\n" + orgs.String() +
		"clients:\n  - {name: " + Client + ", secret: env:LAB_PROXY_SECRET, orgs: [" + strings.Join(l.o.Orgs, ", ") + "]}\n"
	if err := os.WriteFile(l.path("resources.yaml"), []byte(resources), 0o600); err != nil {
		return err
	}
	l.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.o.Dir,
		"LAB_CLIENT_SECRET=" + ClientSecret, "LAB_PROXY_SECRET=" + l.Secret,
		"SALLYPORT_LISTEN=" + l.Proxy, "SALLYPORT_ADMIN_LISTEN=" + l.Admin, "SALLYPORT_STATE_DIR=" + l.StateDir(),
		"SALLYPORT_APPLY=" + l.path("resources.yaml"), "SALLYPORT_RESOLVE=" + strings.Join(resolve, ","),
		"SALLYPORT_UPSTREAM_CA_FILE=" + l.path("salesforce-ca.pem"),
	}, l.o.Env...)
	for _, name := range l.o.Orgs {
		l.Env = append(l.Env, seedVariable(name)+"="+l.Grants[name].RefreshToken)
	}
	return nil
}

func seedVariable(org string) string { return "LAB_SEED_" + strings.ToUpper(org) }

// Close ends the proxy, gently, and the simulator.
func (l *Lab) Close(ctx context.Context) error {
	var err error
	if l.process != nil {
		err = l.Stop(ctx)
	}
	if l.peer {
		return err
	}
	return errors.Join(err, l.server.Close())
}

func freeAddr() (string, error) {
	n, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return n.Addr().String(), n.Close()
}
