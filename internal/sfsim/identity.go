package sfsim

import (
	"fmt"
	"net/http"
	"strings"
)

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
