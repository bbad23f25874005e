package sfsim

import (
	"errors"
	"fmt"
	"time"
)

// stagedLifetime is how long a staged pair is good, by Salesforce's Connect REST
// guide.
const stagedLifetime = 30 * 24 * time.Hour

// staged is the one slot for a second consumer key and secret of an app.
type staged struct {
	id      string // 0ug…
	key     string
	secret  string
	by      string // user id
	created time.Time
	expires time.Time
	rotated bool
}

func (v *staged) state(now time.Time) string {
	switch {
	case !now.Before(v.expires):
		return "expired"
	case v.rotated:
		return "rotated"
	}
	return "active"
}

// credential finds the app of a consumer key, and the key's secret: an app's
// own, or the pair in its slot while that is good. Sim.mu is held.
func (s *Sim) credential(key string) (*app, string) {
	if ap := s.apps[key]; ap != nil {
		return ap, ap.ClientSecret
	}
	for _, ap := range s.apps {
		if v := ap.slot; v != nil && v.key == key && v.state(s.now()) != "expired" {
			return ap, v.secret
		}
	}
	return nil, ""
}

var (
	errSlotTaken  = errors.New("a staged credential exists already")
	errNotActive  = errors.New("only an active staged credential can be rotated")
	errNothingYet = errors.New("the requested resource does not exist")
)

// stage puts a new pair into an app's slot. What is there must not be active; a
// rotated or expired one goes. Sim.mu is held.
func (s *Sim) stage(ap *app, by string) (*staged, error) {
	now := s.now()
	if ap.slot != nil && ap.slot.state(now) == "active" {
		return nil, errSlotTaken
	}
	s.slots++
	v := &staged{id: to18(fmt.Sprintf("0ugWt%010d", s.slots)), key: "3MVG9" + s.mint.random(80), secret: s.mint.random(64),
		by: by, created: now, expires: now.Add(stagedLifetime)}
	s.others = append(s.others, v.secret)
	ap.slot = v
	return v, nil
}

// rotateStaged makes the staged pair the app's. What becomes of the former one
// is a switch. Sim.mu is held.
func (s *Sim) rotateStaged(ap *app) error {
	now, v := s.now(), ap.slot
	if v == nil || v.state(now) != "active" {
		return errNotActive
	}
	w := s.Switches()
	formerKey, formerSecret := ap.ClientID, ap.ClientSecret
	s.others = append(s.others, formerSecret)
	delete(s.apps, formerKey)
	ap.ClientID, ap.ClientSecret = v.key, v.secret
	s.apps[v.key] = ap
	v.rotated = true
	if w.FormerPairSurvivesRotate {
		v.key, v.secret, v.expires = formerKey, formerSecret, now.Add(stagedLifetime)
	}
	if w.RotateRevokesTokens {
		s.endApp(ap, "the app's credentials were rotated")
	}
	return nil
}

// unstage empties the slot; its pair, unless it is the app's own, is dead at
// once. Sim.mu is held.
func (ap *app) unstage(id string) error {
	if ap.slot == nil || ap.slot.id != id {
		return errNothingYet
	}
	ap.slot = nil
	return nil
}

// endApp revokes all grants and access tokens of an app. Sim.mu is held.
func (s *Sim) endApp(ap *app, why string) {
	for _, g := range s.grants {
		if g.app == ap {
			s.endGrant(g, why)
		}
	}
	s.accesses.Range(func(_, v any) bool {
		if a := v.(*access); a.app == ap {
			a.dead.Store(true)
		}
		return true
	})
}

// AppIDs returns the ids of an app and of its consumer, as the resources under
// /services/data/v65.0/apps/oauth name them. It fails when no app has the key.
func (s *Sim) AppIDs(clientID string) (app, consumer string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap, _ := s.credential(clientID)
	if ap == nil {
		return "", "", fmt.Errorf("sfsim: no app %s", clientID)
	}
	return ap.id, ap.consumer, nil
}
