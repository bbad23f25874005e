package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

// IdentifyBearer is [Identifier.Identify] for a caller that can show one text only, where an API carries its session: a
// client's secret of the form that sallyport generates, or NAME:SECRET, NAME perhaps with +ORG, for any secret.
func (i *Identifier) IdentifyBearer(ctx context.Context, s *registry.Snapshot, bearer secret.Text, from Caller) (Identity, Credentials, error) {
	if registry.IsGenerated(bearer) {
		for _, c := range s.Clients() {
			if c.Disabled {
				continue
			}
			for _, hash := range c.SecretHashes {
				if registry.IsFastHash(hash) && i.opts.Verify(hash, bearer) {
					if err := i.agrees(s, from, c.Name); err != nil {
						return Identity{}, Credentials{}, err
					}
					return Identity{Name: c.Name, hash: hash}, Credentials{Name: c.Name}, nil
				}
			}
		}
	}
	user, pass, ok := strings.Cut(bearer.Reveal(), ":")
	if !ok || user == "" {
		return Identity{}, Credentials{}, refuse(ProxyAuthRequired, "this address needs a client's credentials: Basic with its name "+
			"and secret, or NAME:SECRET or a placeholder of sallyport's where the API carries its session")
	}
	name, org, _ := strings.Cut(user, "+")
	c := Credentials{Name: name, Org: org, Secret: secret.NewText(pass)}
	id, err := i.Identify(ctx, s, c, from)
	return id, c, err
}

// agrees refuses a caller whose certificate is another client's than the one that its credentials name.
func (i *Identifier) agrees(s *registry.Snapshot, from Caller, name string) error {
	id, found, refusal := i.ByCertificate(s, from.Chain)
	switch {
	case refusal != nil:
		return refusal
	case found && id.Name != name:
		return refuse(ProxyAuthRequired, "the certificate is another client's than the credentials: show one of the two")
	}
	return nil
}

// Stamp is opaque and changes when what proved i no longer does: the secret was replaced, or the certificate's name
// given to another client. It holds nothing of the secret. The zero Identity has none.
func (i Identity) Stamp(s *registry.Snapshot) string {
	if i.certificate != nil {
		if c := s.Client(i.Name); c != nil {
			for _, name := range c.Certificates {
				if slices.Contains(i.certificate.names, name) {
					return stamp(name)
				}
			}
		}
		return ""
	}
	if i.hash == "" {
		return ""
	}
	return stamp(i.hash)
}

func stamp(proof string) string {
	sum := sha256.Sum256([]byte("sallyport stamp " + proof))
	return hex.EncodeToString(sum[:8])
}

// ByStamp returns the identity that had that stamp, if the client of that name is enabled and still has what proved it. A
// certificate's stamp counts beside the certificate only, which may have been revoked, and none beside another client's.
func (i *Identifier) ByStamp(s *registry.Snapshot, name, was string, from Caller) (Identity, bool) {
	c := s.Client(name)
	if c == nil || c.Disabled || was == "" || i.agrees(s, from, name) != nil {
		return Identity{}, false
	}
	for _, hash := range c.SecretHashes {
		if stamp(hash) == was {
			return Identity{Name: name, hash: hash}, true
		}
	}
	for _, held := range c.Certificates {
		if stamp(held) == was {
			id, found, _ := i.ByCertificate(s, from.Chain)
			return id, found
		}
	}
	return Identity{}, false
}
