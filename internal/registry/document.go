package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
)

// schema is the newest schema of a [Document] that this version reads, and the one that it writes.
const schema = 1

// Document is all that the registry persists. Its JSON holds the apps' client secrets and the clients' hashes in clear:
// it must be sealed before it leaves the process.
type Document struct {
	Version         int    // The schema.
	Serial          uint64 // Raised by each change: a store that shows a lower one has gone back.
	Apps            []App
	Orgs            []Org
	Clients         []Client
	ClientsEverMade bool // Whether a client was ever made, for the default of SALLYPORT_LOCAL_CALLERS.
}

type documentApp struct {
	App
	ClientSecret string `json:"clientSecret"`
}

type documentClient struct {
	Client
	SecretHashes []string `json:"secretHashes,omitempty"`
}

type documentJSON struct {
	Version         int              `json:"version"`
	Serial          uint64           `json:"serial,omitempty"`
	Apps            []documentApp    `json:"apps,omitempty"`
	Orgs            []Org            `json:"orgs,omitempty"`
	Clients         []documentClient `json:"clients,omitempty"`
	ClientsEverMade bool             `json:"clientsEverMade,omitempty"`
}

// MarshalJSON writes the document with its secrets in clear.
func (d Document) MarshalJSON() ([]byte, error) {
	w := documentJSON{Version: d.Version, Serial: d.Serial, Orgs: d.Orgs, ClientsEverMade: d.ClientsEverMade}
	for _, a := range d.Apps {
		w.Apps = append(w.Apps, documentApp{App: a, ClientSecret: a.ClientSecret.Reveal()})
	}
	for _, c := range d.Clients {
		w.Clients = append(w.Clients, documentClient{Client: c, SecretHashes: c.SecretHashes})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It fails with a [SchemaError] for a newer schema.
func (d *Document) UnmarshalJSON(b []byte) error {
	var head struct{ Version int }
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	if head.Version > schema {
		return &SchemaError{Found: head.Version, Known: schema}
	}
	var w documentJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*d = Document{Version: w.Version, Serial: w.Serial, Orgs: w.Orgs, ClientsEverMade: w.ClientsEverMade}
	for _, a := range w.Apps {
		a.App.ClientSecret = secret.NewText(a.ClientSecret)
		d.Apps = append(d.Apps, a.App)
	}
	for _, c := range w.Clients {
		c.Client.SecretHashes = c.SecretHashes
		d.Clients = append(d.Clients, c.Client)
	}
	return nil
}

func (d Document) seal(s Sealer) ([]byte, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode the registry: %w", err)
	}
	return s.Seal(plain, "", sealedField)
}

func openDocument(s Sealer, sealed []byte) (Document, error) {
	if len(sealed) == 0 {
		return Document{Version: schema}, nil
	}
	plain, err := s.Open(sealed, "", sealedField)
	if err != nil {
		return Document{}, err
	}
	var d Document
	if err := json.Unmarshal(plain, &d); err != nil {
		return Document{}, fmt.Errorf("decode the registry: %w", err)
	}
	return d, nil
}

// clone copies the lists, not what their elements point to: elements are replaced, never written through.
func (d Document) clone() Document {
	d.Apps, d.Orgs, d.Clients = slices.Clone(d.Apps), slices.Clone(d.Orgs), slices.Clone(d.Clients)
	return d
}

func (d *Document) sort() {
	slices.SortFunc(d.Apps, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Orgs, func(a, b Org) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Clients, func(a, b Client) int { return strings.Compare(a.Name, b.Name) })
}

func (d Document) app(name string) int {
	return slices.IndexFunc(d.Apps, func(a App) bool { return a.Name == name })
}

func (d Document) org(name string) int {
	return slices.IndexFunc(d.Orgs, func(o Org) bool { return o.Name == name })
}

func (d Document) client(name string) int {
	return slices.IndexFunc(d.Clients, func(c Client) bool { return c.Name == name })
}
