package sfsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// bulk serves Bulk API 1.0, whose session is the header X-SFDC-Session.
func (s *Sim) bulk(w http.ResponseWriter, c *call) {
	drain(c.Body)
	asJSON := strings.Contains(c.Header.Get("Accept")+c.Header.Get("Content-Type"), "json")
	a := s.enter(c, c.Header.Get("X-Sfdc-Session"))
	kind := "application/xml;charset=UTF-8"
	if asJSON {
		kind = jsonType
	}
	w.Header().Set("Content-Type", kind)
	const head = `<?xml version="1.0" encoding="UTF-8"?>`
	const ns = ` xmlns="http://www.force.com/2009/06/asyncapi/dataload"`
	switch {
	case a == nil && asJSON:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}`))
	case a == nil:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(head + `<error` + ns + `><exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>`))
	default:
		stamp(w, a)
		status := http.StatusOK
		if c.Method == http.MethodPost {
			status = http.StatusCreated
		}
		w.WriteHeader(status)
		if id := to18("750Wt0000000001"); asJSON {
			_, _ = w.Write(marshal(map[string]string{"id": id, "state": "Open"}))
		} else {
			_, _ = w.Write([]byte(head + `<jobInfo` + ns + `><id>` + id + `</id><state>Open</state></jobInfo>`))
		}
	}
}

type bayeux struct {
	Channel  string `json:"channel"`
	ID       any    `json:"id,omitempty"`
	ClientID string `json:"clientId,omitempty"`
}

// cometd serves the Streaming API. A dead session is told inside a 200.
func (s *Sim) cometd(w http.ResponseWriter, c *call) {
	token, _ := bearer(c.Header.Get("Authorization"))
	a := s.enter(c, token)
	var body []byte
	if c.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(c.Body, maxParams)) // a broken body doesn't parse
	}
	var messages []bayeux
	if json.Unmarshal(body, &messages) != nil {
		var one bayeux
		if json.Unmarshal(body, &one) != nil {
			http.Error(w, "400::Bad request", http.StatusBadRequest)
			return
		}
		messages = []bayeux{one}
	}
	out := []map[string]any{}
	for _, m := range messages {
		out = append(out, m.answer(a))
	}
	if a != nil {
		stamp(w, a)
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(marshal(out))
}

func (m bayeux) answer(a *access) map[string]any {
	v := map[string]any{"channel": m.Channel, "successful": a != nil}
	if m.ID != nil {
		v["id"] = m.ID
	}
	handshake := m.Channel == "/meta/handshake"
	switch {
	case a == nil && handshake:
		v["error"] = "403::Handshake denied"
		v["ext"] = map[string]any{"replay": true, "sfdc": map[string]string{"failureReason": "401::Authentication invalid"}}
		v["advice"] = map[string]string{"reconnect": "none"}
	case a == nil:
		v["error"] = "401::Authentication invalid"
		v["advice"] = map[string]string{"reconnect": "none"}
	case handshake:
		v["clientId"] = "sfsim" + a.fingerprint
		v["version"], v["minimumVersion"] = "1.0", "1.0"
		v["supportedConnectionTypes"] = []string{"long-polling"}
	default:
		v["clientId"] = m.ClientID
	}
	return v
}

// identity serves userinfo and the identity URL, whose answer to a dead session
// is 403 and plain text.
func (s *Sim) identity(w http.ResponseWriter, c *call) {
	token, _ := bearer(c.Header.Get("Authorization"))
	if token == "" && c.URL.RawQuery != "" {
		q := c.URL.Query()
		if token = q.Get("oauth_token"); token == "" {
			token = q.Get("access_token")
		}
	}
	a := s.enter(c, token)
	text := ""
	switch {
	case token == "":
		text = "Missing_OAuth_Token"
	case a == nil:
		text = "Bad_OAuth_Token"
	case strings.HasPrefix(c.path, "/id/") && !strings.HasSuffix(a.user.identity, c.path):
		text = "Wrong_Org"
	}
	if text != "" {
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(text))
		return
	}
	base := a.org.instance + "/services/"
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{
		"sub": a.user.identity, "id": a.user.identity, "user_id": a.user.ID, "organization_id": a.org.ID,
		"preferred_username": a.user.Username, "username": a.user.Username, "name": a.user.Username,
		"email": a.user.Username, "active": true,
		"urls": map[string]string{
			"rest":       base + "data/v{version}/",
			"sobjects":   base + "data/v{version}/sobjects/",
			"query":      base + "data/v{version}/query/",
			"partner":    base + fmt.Sprintf("Soap/u/{version}/%s", a.org.ID[:15]),
			"enterprise": base + fmt.Sprintf("Soap/c/{version}/%s", a.org.ID[:15]),
			"metadata":   base + fmt.Sprintf("Soap/m/{version}/%s", a.org.ID[:15]),
		},
	}))
}
