package salesforce

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/tokens"
)

// statusSettingUp is what Salesforce's edge answers while an org is moved or
// gone. It is no refusal although it is a 4xx.
const statusSettingUp = 420

// Parse reads an answer of the token endpoint. It is pure and knows only three
// outcomes: tokens, a refusal that is on the list, and a doubt.
//
// A success is a 200. Where its body is cut, what came of it whole counts: a
// refresh token that was read in full is returned without an error, whatever
// else is missing. Without one, a cut answer is a doubt and never an org that
// doesn't rotate; the Issue that comes with that error may hold an access token
// that can be served meanwhile.
//
// Every other outcome is an error that wraps a [*tokens.Refusal]. Its class is
// [tokens.ClassDoubt] unless a whole 4xx answer holds an OAuth error (RFC 6749,
// section 5.2) whose error and description are listed.
func Parse(a tokens.Answer) (tokens.Issue, error) {
	m := open(a)
	fields := membersOf(m)
	if m.status == http.StatusOK {
		i, fault := issueOf(fields)
		if fault == "" {
			return i, nil
		}
		return i, fmt.Errorf("%w: %s", doubt(m, fields), fault)
	}
	return tokens.Issue{}, refusal(m, fields)
}

// Parse implements [tokens.Exchanger] by [Parse].
func (*Exchanger) Parse(a tokens.Answer) (tokens.Issue, error) { return Parse(a) }

// refusal says what an answer other than a success means.
func refusal(m message, fields members) *tokens.Refusal {
	r := doubt(m, fields)
	if m.status < 400 || m.status > 499 || m.status == statusSettingUp || !fields.whole ||
		fields.has("access_token") || fields.has("refresh_token") {
		return r
	}
	description := fields.value("error_description")
	if fields.has("error_description") && description == "" && fields.byName["error_description"] != (member{isString: true}) {
		return r // not a string, or two different ones
	}
	known, ok := lookUp(fields.value("error"), description)
	if !ok {
		return r
	}
	r.Class, r.Code = known.class, known.code
	if !known.wild {
		r.Description = known.description
	}
	return r
}

// doubt is a refusal that proves nothing, with what can be told of it.
func doubt(m message, fields members) *tokens.Refusal {
	r := &tokens.Refusal{Class: tokens.ClassDoubt, Status: m.status, RetryAfter: m.retryAfter()}
	if code := fields.value("error"); code != "" {
		r.Code, r.Description = printableCode(code), printable(fields.value("error_description"))
	}
	return r
}

// lookUp finds a pair of error and description in the list.
func lookUp(code, description string) (refusalRow, bool) {
	code, description = strings.TrimSpace(code), strings.TrimSpace(description)
	for _, row := range refusals {
		if strings.EqualFold(code, row.code) && (row.wild || strings.EqualFold(description, row.description)) {
			return row, true
		}
	}
	return refusalRow{}, false
}
