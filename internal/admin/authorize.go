package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

// maxRedirect is the length in bytes of the longest redirect URI, and of the longest pasted redirect URL.
const (
	maxRedirectURI = 2000
	maxRedirectURL = 8 << 10
)

// authorize begins an authorisation: the verifier and the state stay here (RFC 7636; RFC 6749, section 10.12).
func (s *Server) authorize(r *http.Request) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	var in struct {
		RedirectURI string `json:"redirectUri"`
	}
	if err := decode(r, &in, `{"redirectUri":"https://…"}`); err != nil {
		return reply{}, err
	}
	if err := checkRedirectURI(in.RedirectURI); err != nil {
		return reply{}, err
	}
	app := s.o.Registry.Snapshot().App(o.App)
	switch {
	case o.Grant != registry.GrantRefreshToken:
		return reply{}, &ConflictError{"org " + o.Name + ": a " + o.Grant + " grant needs no person to authorise it"}
	case o.Disabled || app == nil || app.Disabled:
		return reply{}, &ConflictError{"org " + o.Name + " is disabled: enable it with sallyport apply first"}
	}
	p := s.begun.begin(tokens.OrgID(o.Key), in.RedirectURI, time.Now())
	return ok(Authorization{
		URL:   salesforce.AuthorizeURL(o.LoginURL, app.ClientID, p.redirectURI, p.state, salesforce.Challenge(p.verifier.Reveal()), nil),
		State: p.state,
	}), nil
}

// checkRedirectURI wants an absolute URI without a fragment (RFC 6749, section 3.1.2).
func checkRedirectURI(s string) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxRedirectURI || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "" || strings.Contains(s, "#") || u.User != nil {
		return badRequest("redirectUri must be the app's callback URL, absolute and without a fragment")
	}
	return nil
}

// completeAuthorize takes the URL that the browser was sent back to, and exchanges its code. The state is good once,
// whatever comes of it.
func (s *Server) completeAuthorize(r *http.Request) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	var in struct {
		RedirectURL string `json:"redirectUrl"`
	}
	if err := decode(r, &in, `{"redirectUrl":"https://…?code=…&state=…"}`); err != nil {
		return reply{}, err
	}
	back, err := parseRedirect(in.RedirectURL)
	if err != nil {
		return reply{}, err
	}
	p, found := s.begun.take(tokens.OrgID(o.Key), back.query.Get("state"), time.Now())
	if !found {
		return reply{}, &ConflictError{"org " + o.Name + ": no authorisation with this state was begun here in the last 15 minutes: " +
			"begin again with sallyport grant authorize " + o.Name}
	}
	if code := back.query.Get("error"); code != "" {
		return reply{}, &ConflictError{"org " + o.Name + ": Salesforce refused the authorisation: " + printable(code) + " " + printable(back.query.Get("error_description"))}
	}
	code := back.query.Get("code")
	if code == "" || !back.of(p.redirectURI) {
		return reply{}, &ConflictError{"org " + o.Name + ": this URL isn't the one that Salesforce redirected to: begin again, and paste the whole address"}
	}
	done, err := s.o.Enroller.Authorize(r.Context(), tokens.OrgID(o.Key), salesforce.CodeCredential(code, p.verifier.Reveal(), p.redirectURI))
	if err != nil {
		return reply{}, err
	}
	return ok(viewEnrolled(done)), nil
}

type redirect struct {
	target string // without query and fragment
	query  url.Values
}

// parseRedirect reads a pasted URL. Its errors never quote the URL, which holds a code.
func parseRedirect(s string) (redirect, error) {
	bad := badRequest("redirectUrl must be the whole address that the browser was sent back to, with code and state")
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	if err != nil || len(s) > maxRedirectURL {
		return redirect{}, bad
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(q["state"]) != 1 || len(q["code"]) > 1 || len(q["error"]) > 1 || len(q["code"])+len(q["error"]) == 0 {
		return redirect{}, bad
	}
	return redirect{target: target(u), query: q}, nil
}

// of reports whether Salesforce, asked to redirect to uri, would send a browser to this URL.
func (b redirect) of(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && target(u) == b.target
}

func target(u *url.URL) string {
	path := u.EscapedPath()
	if path == "/" {
		path = "" // Browsers add it.
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + path + u.Opaque
}

// printable keeps a short text of printable ASCII.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), 200)])
}
