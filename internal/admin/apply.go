package admin

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

func (s *Server) apply(r *http.Request) (reply, error) {
	dry, err := flag(r, "dryRun")
	if err != nil {
		return reply{}, err
	}
	change, err := registry.DecodeChange(r.Body)
	if err != nil {
		return reply{}, err
	}
	change.DryRun = change.DryRun || dry
	out, err := s.Apply(r.Context(), change)
	if err != nil {
		return reply{}, err
	}
	return ok(out), nil
}

// Apply makes a change true, then enrols its seeds and makes the records of orgs whose credentials aren't single-use.
// It fails as registry.Registry.Apply does. A grant that fails doesn't take the change back: [Applied] tells of it.
func (s *Server) Apply(ctx context.Context, change registry.Change) (Applied, error) {
	diff, err := s.o.Registry.Apply(ctx, change)
	if err != nil {
		return Applied{}, err
	}
	out := Applied{Items: diff.Items, DryRun: diff.DryRun}
	if out.Items == nil {
		out.Items = []registry.DiffItem{}
	}
	snapshot := s.o.Registry.Snapshot()
	for _, key := range diff.Rehomed {
		out.Rehomed = append(out.Rehomed, nameOf(snapshot, tokens.OrgID(key)))
	}
	if !diff.DryRun {
		out.Grants = append(s.seed(ctx, diff.Seeds), s.ensure(ctx, snapshot, diff.Items)...)
	}
	return out, nil
}

func (s *Server) seed(ctx context.Context, seeds []registry.Seed) []SeedResult {
	var out []SeedResult
	for _, seed := range seeds {
		used, err := s.o.Enroller.Seed(ctx, tokens.OrgID(seed.Key), seed.Token)
		res := SeedResult{Org: seed.Org, Result: SeedKept}
		switch {
		case err != nil:
			res.Result, res.Error = SeedFailed, err.Error()
		case used:
			res.Result = SeedUsed
		}
		out = append(out, res)
	}
	return out
}

func (s *Server) ensure(ctx context.Context, snapshot *registry.Snapshot, items []registry.DiffItem) []SeedResult {
	var out []SeedResult
	for _, i := range items {
		o := snapshot.Org(i.Name)
		if i.Kind != registry.KindOrg || o == nil || o.Disabled || o.Grant == registry.GrantRefreshToken {
			continue
		}
		res := SeedResult{Org: o.Name, Result: SeedReady}
		if err := s.o.Enroller.Ensure(ctx, tokens.OrgID(o.Key)); err != nil {
			res.Result, res.Error = SeedFailed, err.Error()
		}
		out = append(out, res)
	}
	return out
}

// nameOf returns the name of the org with that key, or the key of an org that is no longer registered.
func nameOf(snapshot *registry.Snapshot, org tokens.OrgID) string {
	if o := snapshot.OrgByKey(string(org)); o != nil {
		return o.Name
	}
	return string(org)
}

func (s *Server) exportCA(r *http.Request) (reply, error) {
	pem, err := s.o.CA.Export(r.Context())
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, raw: pem, mime: "application/pem-certificate-chain"}, nil // RFC 8555, section 9.1
}

func (s *Server) rotateCA(r *http.Request) (reply, error) {
	var in struct {
		Activate bool `json:"activate"`
	}
	if err := decode(r, &in, `{"activate":false}`); err != nil {
		return reply{}, err
	}
	if err := s.o.CA.Rotate(r.Context(), in.Activate); err != nil {
		return reply{}, err
	}
	return s.exportCA(r)
}
