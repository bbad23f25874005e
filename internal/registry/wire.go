package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// MaxChange is the size in bytes of the largest change that is read, as YAML or as JSON.
const MaxChange = 4 << 20

// IsReference reports whether a value is a reference of the resources file, env:NAME or file:PATH. The process that
// reads the file resolves them; a [Change] has values only.
func IsReference(s string) bool { return strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:") }

type wireApp struct {
	Name         string `json:"name"`
	ClientID     string `json:"clientId,omitempty"`
	ClientSecret string `json:"clientSecret,omitempty"`
}

type wireOrg struct {
	Name           string   `json:"name"`
	App            string   `json:"app,omitempty"`
	LoginURL       string   `json:"loginUrl,omitempty"`
	Hosts          []string `json:"hosts,omitempty"`
	Grant          string   `json:"grant,omitempty"`
	RefreshToken   string   `json:"refreshToken,omitempty"`
	SessionTimeout *string  `json:"sessionTimeout,omitempty"`
	Disabled       bool     `json:"disabled,omitempty"`
	PreviousName   string   `json:"previousName,omitempty"`
	Egress         string   `json:"egress,omitempty"`
	ForeignHosts   bool     `json:"foreignHosts,omitempty"`
}

type wireLimits struct {
	RequestsPerSecond *float64 `json:"requestsPerSecond,omitempty"`
	Concurrent        *int     `json:"concurrent,omitempty"`
}

type wireClient struct {
	Name         string     `json:"name"`
	Secret       string     `json:"secret,omitempty"`
	Orgs         []string   `json:"orgs,omitempty"`
	Methods      []string   `json:"methods,omitempty"`
	Paths        []string   `json:"paths,omitempty"`
	Certificates []string   `json:"certificates,omitempty"`
	Passthrough  *[]string  `json:"passthrough,omitempty"`
	Limits       wireLimits `json:"limits,omitzero"`
	Mode         string     `json:"mode,omitempty"`
	Composite    bool       `json:"composite,omitempty"`
	Allow        []string   `json:"allow,omitempty"`
	Traces       string     `json:"traces,omitempty"`
	Disabled     bool       `json:"disabled,omitempty"`
}

type wireChange struct {
	Apps    []wireApp      `json:"apps,omitempty"`
	Orgs    []wireOrg      `json:"orgs,omitempty"`
	Clients []wireClient   `json:"clients,omitempty"`
	Prune   bool           `json:"prune,omitempty"`
	DryRun  bool           `json:"dryRun,omitempty"`
	Rehome  []string       `json:"rehome,omitempty"`
	Source  string         `json:"source,omitempty"`
	Lines   map[string]int `json:"lines,omitempty"`
}

// EncodeChange writes c as the JSON that [DecodeChange] reads, with its secrets in clear: it belongs into the body of
// a request to the admin API and nowhere else.
func EncodeChange(c Change) ([]byte, error) {
	w := wireChange{Prune: c.Prune, DryRun: c.DryRun, Rehome: c.Rehome, Source: c.Source, Lines: c.Lines}
	for _, a := range c.Apps {
		w.Apps = append(w.Apps, wireApp{Name: a.Name, ClientID: a.ClientID, ClientSecret: a.ClientSecret.Reveal()})
	}
	for _, o := range c.Orgs {
		wo := wireOrg{
			Name: o.Name, App: o.App, LoginURL: o.LoginURL, Hosts: o.Hosts, Grant: o.Grant,
			RefreshToken: o.Seed.Reveal(), Disabled: o.Disabled, PreviousName: o.PreviousName, ForeignHosts: o.ForeignHosts,
		}
		if o.SessionTimeout != 0 {
			s := o.SessionTimeout.String()
			wo.SessionTimeout = &s
		}
		if o.Egress.IsValid() {
			wo.Egress = o.Egress.String()
		}
		w.Orgs = append(w.Orgs, wo)
	}
	for _, cl := range c.Clients {
		wc := wireClient{
			Name: cl.Name, Secret: cl.Secret.Reveal(), Orgs: cl.Orgs, Methods: cl.Methods, Paths: cl.Paths,
			Certificates: cl.Certificates, Passthrough: cl.Passthrough, Mode: cl.Mode, Composite: cl.Composite,
			Allow: cl.Allow, Traces: cl.Traces, Disabled: cl.Disabled,
		}
		if v := cl.Limits.RequestsPerSecond; v != 0 {
			wc.Limits.RequestsPerSecond = &v
		}
		if v := cl.Limits.Concurrent; v != 0 {
			wc.Limits.Concurrent = &v
		}
		w.Clients = append(w.Clients, wc)
	}
	return json.Marshal(w)
}

// DecodeChange reads a change as JSON, at most [MaxChange] bytes. It fails with an [InvalidError] for what is no JSON of
// this form, an unknown key, a value that looks like a reference or like a redacted secret, and values that can't be
// read. Everything else is judged by [Registry.Apply].
func DecodeChange(r io.Reader) (Change, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxChange+1))
	if err != nil {
		return Change{}, fmt.Errorf("read the change: %w", err)
	}
	whole := func(format string, args ...any) (Change, error) {
		return Change{}, NewInvalidError("", []Fault{{Message: fmt.Sprintf(format, args...)}})
	}
	if len(b) > MaxChange {
		return whole("the change is larger than %d bytes", MaxChange)
	}
	var w wireChange
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return whole("%s", jsonFault(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return whole("there is something behind the JSON object")
	}
	k := &checker{change: Change{
		Prune: w.Prune, DryRun: w.DryRun, Rehome: w.Rehome, Source: w.Source, Lines: w.Lines,
	}}
	c := k.fromWire(w)
	if err := NewInvalidError(w.Source, k.faults); err != nil {
		return Change{}, err
	}
	return c, nil
}

// jsonFault tells what is wrong without quoting a value, which may be a secret.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON, at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("%s: a %s is wrong there", kind.Field, kind.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "it is no complete JSON object"
}

// text takes a value over, unless it is a reference or a redacted secret.
func (k *checker) text(path, s string) secret.Text {
	switch {
	case IsReference(s):
		k.fault(path, "it looks like a reference; the API takes values only: `sallyport apply -f` resolves references")
	case s == secret.Redacted:
		k.fault(path, "it is the printed form of a secret, not the secret; leave it out to keep the present one")
	default:
		return secret.NewText(s)
	}
	return secret.Text{}
}

func (k *checker) fromWire(w wireChange) Change {
	c := k.change
	for i, a := range w.Apps {
		path := fmt.Sprintf("apps[%d]", i)
		c.Apps = append(c.Apps, App{
			Name: a.Name, ClientID: k.text(path+".clientId", a.ClientID).Reveal(),
			ClientSecret: k.text(path+".clientSecret", a.ClientSecret),
		})
	}
	for i, o := range w.Orgs {
		c.Orgs = append(c.Orgs, k.orgFromWire(fmt.Sprintf("orgs[%d]", i), o))
	}
	for i, cl := range w.Clients {
		c.Clients = append(c.Clients, k.clientFromWire(fmt.Sprintf("clients[%d]", i), cl))
	}
	return c
}

func (k *checker) orgFromWire(path string, o wireOrg) OrgChange {
	c := OrgChange{Org: Org{
		Name: o.Name, App: o.App, LoginURL: o.LoginURL, Hosts: o.Hosts, Grant: o.Grant, Disabled: o.Disabled,
		PreviousName: o.PreviousName, ForeignHosts: o.ForeignHosts,
	}, Seed: k.text(path+".refreshToken", o.RefreshToken)}
	var err error
	if o.SessionTimeout != nil {
		if c.SessionTimeout, err = ParseSessionTimeout(*o.SessionTimeout); err != nil {
			k.fault(path+".sessionTimeout", "%v", err)
		}
	}
	if o.Egress != "" {
		if c.Egress, err = netip.ParseAddr(o.Egress); err != nil {
			k.fault(path+".egress", "%q is no IP address", o.Egress)
		}
	}
	return c
}

func (k *checker) clientFromWire(path string, w wireClient) ClientChange {
	c := ClientChange{Client: Client{
		Name: w.Name, Orgs: w.Orgs, Methods: w.Methods, Paths: w.Paths, Certificates: w.Certificates,
		Passthrough: w.Passthrough, Mode: w.Mode, Composite: w.Composite, Allow: w.Allow, Traces: w.Traces,
		Disabled: w.Disabled,
	}, Secret: k.text(path+".secret", w.Secret)}
	if v := w.Limits.RequestsPerSecond; v != nil {
		if c.Limits.RequestsPerSecond = *v; *v <= 0 {
			k.fault(path+".limits.requestsPerSecond", "it must be a number above 0")
		}
	}
	if v := w.Limits.Concurrent; v != nil {
		if c.Limits.Concurrent = *v; *v <= 0 {
			k.fault(path+".limits.concurrent", "it must be a number above 0")
		}
	}
	return c
}

// ParseSessionTimeout reads a session timeout as a Go duration of at least 1s.
func ParseSessionTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration, as 2h or 15m", s)
	}
	if d < minSessionTimeout {
		return 0, fmt.Errorf("%v is shorter than 1s", d)
	}
	return d, nil
}
