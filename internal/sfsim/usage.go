package sfsim

import (
	"net/http"
	"slices"
	"strings"
)

// usage serves who uses which app, and the revocation of their refresh tokens.
// The tokens are named by their fingerprints.
func (s *Sim) usage(base string, path []string, method string) appReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	get, del := method == http.MethodGet, method == http.MethodDelete
	if len(path) == 0 && get {
		return s.appsInUse(base)
	}
	if len(path) == 2 && path[0] == "tokens" && del {
		return s.revokeUsage(func(g *grant) bool { return g.current() != nil && Fingerprint(g.current().token) == path[1] })
	}
	if len(path) < 2 {
		return noSuchApp
	}
	ap := s.appByID(path[0])
	of := func(g *grant) bool { return g.app == ap && g.dead == "" }
	switch {
	case ap == nil:
	case len(path) == 2 && path[1] == "users" && get:
		return appReply{status: http.StatusOK, value: map[string]any{"users": s.usersOf(base, of)}}
	case len(path) == 2 && path[1] == "tokens" && del:
		return s.revokeUsage(of)
	case len(path) == 3 && path[2] == "tokens" && (get || del):
		theirs := func(g *grant) bool { return of(g) && g.user.ID == path[1] }
		if del {
			return s.revokeUsage(theirs)
		}
		return appReply{status: http.StatusOK, value: map[string]any{"tokens": s.tokensOf(base, theirs)}}
	}
	return noSuchApp
}

// appsInUse lists all apps. Sim.mu is held.
func (s *Sim) appsInUse(base string) appReply {
	apps := []map[string]any{}
	for _, ap := range s.apps {
		format := "opaque"
		if ap.JWT {
			format = "jwt"
		}
		apps = append(apps, map[string]any{"identifier": ap.id, "developerName": "App" + ap.id[len(ap.id)-6:len(ap.id)-3], "accessTokenFormat": format,
			"availableActions": []string{"block"}, "isFromPackage": false, "usageDetailsUrl": base + "/" + ap.id + "/users"})
	}
	slices.SortFunc(apps, func(a, b map[string]any) int {
		return strings.Compare(a["identifier"].(string), b["identifier"].(string)) // set above
	})
	return appReply{status: http.StatusOK, value: map[string]any{"apps": apps, "currentPageUrl": base + "?page=0&pageSize=100", "nextPageUrl": nil}}
}

// usersOf sums up grants by user. Sim.mu is held.
func (s *Sim) usersOf(base string, of func(*grant) bool) []map[string]any {
	users := []map[string]any{}
	at := map[*user]map[string]any{}
	for _, g := range s.grants {
		if !of(g) {
			continue
		}
		v := at[g.user]
		if v == nil {
			v = map[string]any{"id": g.user.ID, "username": g.user.Username, "initialConnectionAt": g.created.UTC(), "useCount": 0,
				"revocationUrl": base + "/" + g.app.id + "/" + g.user.ID + "/tokens"}
			at[g.user] = v
			users = append(users, v)
		}
		v["lastUsedAt"] = g.used.UTC()
		v["useCount"] = v["useCount"].(int) + g.exchanges // set above
	}
	return users
}

// tokensOf lists grants' refresh tokens. Sim.mu is held.
func (s *Sim) tokensOf(base string, of func(*grant) bool) []map[string]any {
	tokens := []map[string]any{}
	for _, g := range s.grants {
		if rt := g.current(); rt != nil && of(g) {
			name := Fingerprint(rt.token)
			tokens = append(tokens, map[string]any{"identifier": name, "lastUsedAt": g.used.UTC(), "useCount": g.exchanges, "revocationUrl": base + "/tokens/" + name})
		}
	}
	return tokens
}

// revokeUsage ends grants. Sim.mu is held.
func (s *Sim) revokeUsage(of func(*grant) bool) appReply {
	n := 0
	for _, g := range s.grants {
		if g.dead == "" && of(g) {
			s.endGrant(g, "revoked by an admin")
			n++
		}
	}
	if n == 0 {
		return noSuchApp
	}
	return appReply{status: http.StatusNoContent}
}
