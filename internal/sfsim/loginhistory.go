package sfsim

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	loginHistory = "LoginHistory"
	// timeFormat is how REST writes times.
	timeFormat = "2006-01-02T15:04:05.000-0700"
)

var (
	userClause      = regexp.MustCompile(`(?i)\bUserId\s*=\s*'(\w{15,18})'`)
	loginTimeClause = regexp.MustCompile(`(?i)\bLoginTime\s*>=\s*(\S+)`)
	// unfilterable are LoginHistory's fields that a query may name in SELECT only.
	unfilterable = regexp.MustCompile(`(?i)\bWHERE\b.*?\b(Status|SourceIp|Application|LoginType|LoginSubType)\b`)
)

// login is a row of LoginHistory.
type login struct {
	id      string
	at      time.Time
	user    *user
	request TokenRequest
	app     string
}

// logins serves a query of LoginHistory. Without Manage Users a user sees its own
// rows alone; nobody here has it. The answer is one page.
func (s *Sim) logins(w http.ResponseWriter, c *call, a *access, base string, q soql) {
	if m := unfilterable.FindStringSubmatch(q.text); m != nil {
		stamp(w, a)
		restError(w, c, http.StatusBadRequest, "INVALID_FIELD", "field '"+m[1]+"' can not be filtered in a query call")
		return
	}
	since := time.Time{}
	if m := loginTimeClause.FindStringSubmatch(q.text); m != nil {
		t, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			stamp(w, a)
			restError(w, c, http.StatusBadRequest, "MALFORMED_QUERY", "value of filter criterion for field 'LoginTime' must be of type dateTime")
			return
		}
		since = t
	}
	most := maxPage
	if limitClause.MatchString(q.text) {
		most = min(most, q.total)
	}
	u := userClause.FindStringSubmatch(q.text)
	records := []any{}
	for _, l := range slices.Backward(s.loginRows()) {
		other := l.user != a.user || u != nil && to18(u[1][:15]) != to18(a.user.ID[:15])
		if other || l.at.Before(since) || len(records) == most {
			continue
		}
		r := map[string]any{"attributes": map[string]string{"type": loginHistory, "url": base + "sobjects/" + loginHistory + "/" + l.id}}
		for _, f := range q.fields {
			r[f] = l.field(f)
		}
		records = append(records, r)
	}
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]any{"totalSize": len(records), "done": true, "records": records}))
}

// loginRows are the token requests of known users, oldest first. API calls leave
// no row.
func (s *Sim) loginRows() (rows []login) {
	byToken := map[string]*access{}
	s.accesses.Range(func(_, v any) bool {
		a := v.(*access)
		byToken[a.fingerprint] = a
		return true
	})
	requests := s.ledger.copy().Tokens
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range requests {
		l := login{id: to18("0Ya" + "Wt" + pad(x.Seq)), at: x.Time, request: x}
		if g := max(x.Presented.Grant, x.Access.Grant); g > 0 && g <= len(s.grants) {
			l.user, l.app = s.grants[g-1].user, s.grants[g-1].app.id
		} else if a := byToken[x.Access.Fingerprint]; a != nil {
			l.user, l.app = a.user, a.app.id
		}
		if l.user != nil {
			rows = append(rows, l)
		}
	}
	return rows
}

func pad(n int) string {
	digits := strconv.Itoa(n)
	return strings.Repeat("0", 10-len(digits)) + digits
}

// subTypes are the labels of LoginSubType, of which only the first is reported
// of a real org.
var subTypes = map[string]string{"refresh_token": "OauthRefreshToken", "authorization_code": "OauthWebServer", "client_credentials": "OauthClientCredentials"}

func (l login) field(name string) any {
	switch name {
	case "Id":
		return l.id
	case "LoginTime":
		return l.at.UTC().Format(timeFormat)
	case "UserId":
		return l.user.ID
	case "SourceIp":
		return l.request.Source.String()
	case "LoginType":
		return "Remote Access 2.0"
	case "LoginSubType":
		plain, _ := hybrid(l.request.GrantType)
		return subTypes[plain]
	case "Application":
		return "App" + l.app[len(l.app)-6:len(l.app)-3]
	case "Status":
		if l.request.Access.Fingerprint == "" {
			return "Failed: " + l.request.Description
		}
		return "Success"
	}
	return nil
}
