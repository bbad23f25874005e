package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/virtual"
	"github.com/sallyport/sallyport/tokens"
)

var (
	errInvalidate = &access.RefusalError{Code: access.RequestNotAllowed,
		Message: "invalidateSessions ends sessions, and the org's is every client's: sallyport lets no client end it"}
	errNoLogin = &access.RefusalError{Code: access.RequestNotAllowed,
		Message: "this API mints or ends a session here: sallyport answers login and logout of /services/Soap/u/NN.N and c/NN.N only"}
)

// virtually answers a request to an endpoint that mints, ends or shows sessions, by placeholders: none of it reaches
// Salesforce.
func (c *call) virtually() {
	c.limitUpload(c.r)
	switch c.endpoint {
	case virtual.Token:
		request, wrong := virtual.ParseToken(c.r)
		if wrong != nil {
			c.wrong(wrong)
			return
		}
		c.giveToken(request)
	case virtual.Revoke:
		if wrong := virtual.ParseRevoke(c.r); wrong != nil {
			c.wrong(wrong)
			return
		}
		c.write(http.StatusOK, "", nil)
	case virtual.Introspect:
		token, wrong := virtual.ParseIntrospect(c.r)
		if wrong != nil {
			c.wrong(wrong)
			return
		}
		kind, body := c.server.placeholders.Introspect(token, c.introspect)
		c.write(http.StatusOK, kind, body)
	}
}

// giveToken answers with a placeholder.
func (c *call) giveToken(request virtual.TokenRequest) {
	token, err := c.server.opts.Tokens.Token(c.r.Context(), c.to.state.id)
	var claim virtual.Claim
	var placeholder string
	if err == nil {
		placeholder, claim, err = c.placeholder(token)
	}
	if err != nil {
		if gone(c.r.Context(), err) {
			c.abort()
		}
		a := explain(err)
		a.header(c.w.Header())
		c.code = a.code
		kind, body := virtual.RenderError(request.Format, a.status, string(a.code), a.message)
		c.write(a.status, kind, body)
		return
	}
	instance, identity := c.addresses(token)
	kind, body := virtual.Answer{
		Grant: request.Grant, AccessToken: secret.NewText(placeholder), InstanceURL: instance, IdentityURL: identity,
		IssuedAt: claim.Issued, Scope: "api id", Signature: c.server.placeholders.Sign(identity, claim.Issued),
	}.Render(request.Format)
	c.write(http.StatusOK, kind, body)
}

// endsOrMints reports whether an operation of a SOAP API of Salesforce's own ends or mints a session. Of an org's web
// services an operation of that name is the org's.
func endsOrMints(path, operation string) bool {
	return hasPrefixFold(path, "/services/Soap/") && !hasPrefixFold(path, "/services/Soap/class/") &&
		(operation == "login" || operation == "logout" || operation == "invalidateSessions")
}

// virtualSession answers SOAP's login and logout; false for any other request.
func (c *call) virtualSession() bool {
	if c.envelope == nil {
		return false
	}
	operation := c.envelope.head.Operation.Local
	if !endsOrMints(c.path, operation) {
		return false
	}
	service, ok := virtual.SOAP(c.path)
	if !ok {
		c.fail(errNoLogin)
		return true
	}
	switch operation {
	case "logout":
		c.write(http.StatusOK, virtual.SOAPContentType, virtual.RenderLogout(service))
		return true
	case "invalidateSessions":
		c.fail(errInvalidate)
		return true
	}
	token, err := c.server.opts.Tokens.Token(c.r.Context(), c.to.state.id)
	if err != nil {
		c.fail(err)
		return true
	}
	placeholder, _, err := c.placeholder(token)
	if err != nil {
		c.fail(err)
		return true
	}
	instance, _ := c.addresses(token)
	c.write(http.StatusOK, virtual.SOAPContentType, virtual.RenderLogin(virtual.LoginAnswer{
		Service: service, SessionID: secret.NewText(placeholder), InstanceURL: instance, OrganizationID: token.OrgID, UserID: token.UserID,
		OrganizationName: c.to.org.Name, Username: c.to.org.Name + "@" + c.tunnel.target.Host, FullName: c.to.org.Name,
		Sandbox: isSandbox(token.InstanceURL), SessionTimeout: c.to.org.SessionTimeout,
	}))
	return true
}

// placeholder makes what the client uses as its session.
func (c *call) placeholder(token tokens.Token) (string, virtual.Claim, error) {
	claim := virtual.Claim{Client: c.tunnel.id.Name, ClientStamp: c.tunnel.id.Stamp(c.bind.snap), Org: c.to.org.Key,
		OrganizationID: token.OrgID, Issued: time.Now().Truncate(time.Millisecond)}
	text, err := c.server.placeholders.Make(claim)
	return text, claim, err
}

// introspect says whether what a placeholder claims stands, to the client that it was made for.
func (c *call) introspect(claim virtual.Claim) virtual.Introspection {
	if claim.Client != c.tunnel.id.Name || claim.Org != c.to.org.Key || claim.ClientStamp != c.tunnel.id.Stamp(c.bind.snap) {
		return virtual.Introspection{}
	}
	return virtual.Introspection{Active: true, Scope: "api id", ClientID: c.tunnel.id.Label()}
}

// addresses are where the client finds the org's instance and the identity of its user.
func (c *call) addresses(token tokens.Token) (instance, identity string) {
	instance = token.InstanceURL
	if instance == "" {
		home := homeOf(c.bind.snap, c.to.org)
		if instance = "https://" + home.Host; home.Port != 443 {
			instance = "https://" + home.String()
		}
	}
	login := "https://login.salesforce.com"
	if isSandbox(instance) {
		login = "https://test.salesforce.com"
	}
	if c.tunnel.base != "" {
		instance, login = c.tunnel.base, c.tunnel.base
	}
	return instance, login + "/id/" + orElse(token.OrgID, "00D000000000000EAA") + "/" + orElse(token.UserID, "005000000000000AAA")
}

// isSandbox reports whether an instance URL is a sandbox's (Salesforce Help, "My Domain URL Formats").
func isSandbox(instance string) bool {
	u, err := url.Parse(instance)
	return err == nil && (strings.Contains(u.Hostname(), ".sandbox.") || strings.Contains(u.Hostname(), "--"))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (c *call) wrong(e *virtual.Error) {
	kind, body := e.Render()
	c.write(e.Status, kind, body)
}

// write writes an answer of sallyport's own that is none of its errors.
func (c *call) write(status int, contentType string, body []byte) {
	h := c.w.Header()
	h.Set("Cache-Control", "no-store")
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.status = status
	c.w.WriteHeader(status)
	n, _ := io.Copy(c.w, bytes.NewReader(body)) // A caller that went away needs no answer.
	c.written = n
}
