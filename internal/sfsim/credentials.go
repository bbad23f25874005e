package sfsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// appReply is what a resource of apps decided: a status and a JSON value, or a
// REST error.
type appReply struct {
	status  int
	value   any
	code    string
	message string
}

var noSuchApp = appReply{status: http.StatusNotFound, code: "NOT_FOUND", message: "The requested resource does not exist"}

// appsResource serves /services/data/vNN.N/apps/oauth: usage from 59.0,
// credentials from 60.0, staged credentials from 65.0. Any org may manage any
// app: which one owns it isn't modelled.
func (s *Sim) appsResource(version, tail string) func(http.ResponseWriter, *call, *access) {
	n, _ := strconv.ParseFloat(strings.TrimPrefix(version, "v"), 64) // data checked it
	base := "/services/data/" + version + "/apps/oauth"
	below, found := strings.CutPrefix(tail, "oauth/")
	if !found {
		below = ""
	}
	kind, rest, _ := strings.Cut(below, "/")
	var path []string
	if rest != "" {
		path = strings.Split(rest, "/")
	}
	return func(w http.ResponseWriter, c *call, a *access) {
		if len(path) == 3 && path[2] == "staged" && c.Method == http.MethodPost && c.Header.Get("Content-Length") == "" {
			s.hang(c)
			return
		}
		body, _ := io.ReadAll(io.LimitReader(c.Body, maxParams)) // a broken body doesn't parse
		out := noSuchApp
		switch {
		case !a.user.AppDeveloper:
			out = appReply{status: http.StatusForbidden, code: "INSUFFICIENT_ACCESS", message: "insufficient access rights on cross-reference id"}
		case kind == "usage" && n >= 59:
			out = s.usage(base+"/usage", path, c.Method)
		case kind == "credentials" && n >= 60:
			out = s.credentials(base+"/credentials", path, credentialsCall{c.Method, c.URL.Query().Get("part"), body, a, n >= 65})
		}
		stamp(w, a)
		switch {
		case out.code != "":
			restError(w, c, out.status, out.code, out.message)
		case out.value == nil:
			w.WriteHeader(out.status)
		default:
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(out.status)
			_, _ = w.Write(marshal(out.value)) // a caller who left is no concern
		}
	}
}

// hangLife is when Salesforce's edge resets a connection that it gave no answer.
const hangLife = 2 * time.Minute

// hang is what Salesforce does with a POST to the staged collection without a
// Content-Length: no answer, and a reset in the end. It ends early when the
// caller leaves or the server closes.
func (s *Sim) hang(c *call) {
	drain(c.Body) // only then is the caller's leaving seen
	closing, _ := c.Context().Value(closingKey{}).(<-chan struct{})
	t := time.NewTimer(hangLife)
	defer t.Stop()
	select {
	case <-t.C:
		resetConn(c.Request)
	case <-closing:
	case <-c.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

type credentialsCall struct {
	method string
	part   string
	body   []byte
	by     *access
	stages bool // the version has staged credentials
}

// credentials serves the consumers of apps.
func (s *Sim) credentials(base string, path []string, c credentialsCall) appReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(path) == 0 {
		return noSuchApp
	}
	ap := s.appByID(path[0])
	if ap == nil || len(path) > 1 && path[1] != ap.consumer {
		return noSuchApp
	}
	base += "/" + ap.id
	mine := base + "/" + ap.consumer
	switch {
	case len(path) == 1 && c.method == http.MethodGet:
		return appReply{status: http.StatusOK, value: map[string]any{"consumers": []any{map[string]any{
			"id": ap.consumer, "key": ap.ClientID, "name": ap.ClientID, "stagedCredentialsUrl": mine + "/staged", "url": mine}}}}
	case !c.by.org.SecretsInREST:
		return appReply{status: http.StatusForbidden, code: "FUNCTIONALITY_NOT_ENABLED", message: "This feature is not currently enabled for this user."}
	case len(path) == 2 && c.method == http.MethodGet:
		return consumer(ap, mine, c.part)
	case len(path) >= 3 && path[2] == "staged" && c.stages:
		return s.stagedResource(ap, mine+"/staged", path[3:], c)
	}
	return noSuchApp
}

func consumer(ap *app, url, part string) appReply {
	v := map[string]any{"id": ap.consumer, "name": ap.ClientID, "stagedCredentialsUrl": url + "/staged", "url": url}
	if part == "key" || part == "keyandsecret" {
		v["key"] = ap.ClientID
	}
	if part == "secret" || part == "keyandsecret" {
		v["secret"] = ap.ClientSecret
	}
	return appReply{status: http.StatusOK, value: v}
}

// stagedResource serves the slot. Sim.mu is held.
func (s *Sim) stagedResource(ap *app, url string, path []string, c credentialsCall) appReply {
	if len(path) == 0 {
		switch c.method {
		case http.MethodGet:
			return appReply{status: http.StatusOK, value: s.slot(ap, url)}
		case http.MethodPost:
			if _, err := s.stage(ap, c.by.user.ID); err != nil {
				return appReply{status: http.StatusBadRequest, code: "INVALID_OPERATION", message: err.Error()}
			}
			return appReply{status: http.StatusCreated, value: s.slot(ap, url)}
		}
		return noSuchApp
	}
	if len(path) > 1 || ap.slot == nil || ap.slot.id != path[0] {
		return noSuchApp
	}
	switch c.method {
	case http.MethodGet:
		return appReply{status: http.StatusOK, value: ap.slot.view(url, s.now())}
	case http.MethodDelete:
		if err := ap.unstage(path[0]); err != nil {
			return noSuchApp
		}
		return appReply{status: http.StatusNoContent}
	case http.MethodPatch:
		var ask struct{ Command string }
		if json.Unmarshal(c.body, &ask) != nil || ask.Command != "rotate" {
			return appReply{status: http.StatusBadRequest, code: "INVALID_INPUT", message: "the only command is rotate"}
		}
		if err := s.rotateStaged(ap); errors.Is(err, errNotActive) {
			return appReply{status: http.StatusBadRequest, code: "INVALID_OPERATION", message: err.Error()}
		}
		return appReply{status: http.StatusOK, value: ap.slot.view(url, s.now())}
	}
	return noSuchApp
}

func (s *Sim) slot(ap *app, url string) map[string]any {
	list := []any{}
	if ap.slot != nil {
		list = append(list, ap.slot.view(url, s.now()))
	}
	return map[string]any{"stagedCredentials": list}
}

func (v *staged) view(url string, now time.Time) map[string]any {
	const layout = "2006-01-02T15:04:05.000Z"
	return map[string]any{"id": v.id, "createdBy": v.by, "createdDate": v.created.UTC().Format(layout),
		"expirationDate": v.expires.UTC().Format(layout), "key": v.key, "secret": v.secret, "state": v.state(now), "url": url + "/" + v.id}
}

// appByID finds an app by its 0xI… id of 15 or 18 characters. Sim.mu is held.
func (s *Sim) appByID(id string) *app {
	for _, ap := range s.apps {
		if id == ap.id || id == ap.id[:15] {
			return ap
		}
	}
	return nil
}
