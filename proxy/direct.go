package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/proxy/soap"
	"github.com/sallyport/sallyport/proxy/virtual"
)

// basePath begins the path of a request by base URL: /org/NAME/services/…
const basePath = "/org/"

var (
	errPlaintext = &access.RefusalError{Code: codePlaintext,
		Message: "a request outside a TLS tunnel is served on a loopback, Unix-socket or TLS listener only: call https:// through HTTPS_PROXY"}
	errNoBase = &access.RefusalError{Code: access.BadRequest,
		Message: "this is a proxy: set HTTPS_PROXY, or call http://HOST:PORT/org/NAME/services/… with a client's credentials"}
	errWebPage = &access.RefusalError{Code: access.RequestNotAllowed,
		Message: "a request with Origin or Sec-Fetch-Site comes from a web page, which may not use this address"}
	errForeignName = &access.RefusalError{Code: access.Misdirected,
		Message: "this address is called by its IP address or as localhost: another name in Host may be a web page's"}
)

// direct is a request that isn't inside a tunnel: in absolute form, or by base URL.
type direct struct {
	tunnel *tunnel
	r      *http.Request // For the target's own authority.
}

// serveDirect serves what isn't a CONNECT, as if it had come through a tunnel of its own.
func (s *Server) serveDirect(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	front := frontOf(r)
	if front == nil {
		panic(http.ErrAbortHandler)
	}
	front.stall.Store(int64(s.opts.StallTimeout))
	c := &call{server: s, w: w, r: r, start: start}
	c.limitUpload(r) // Who calls may stand in the body.
	if !s.tunnels.enter() {
		s.refuseDirect(w, r, errShuttingDown, start)
		return
	}
	d, err := s.judgeDirect(r)
	// The drain waits for it until net/http has written the answer's end, and a client that is removed loses it.
	if err == nil && !s.tunnels.add(d.tunnel) {
		err = errShuttingDown
	}
	s.tunnels.leave()
	if err != nil {
		if gone(r.Context(), err) || errors.Is(err, errUploadBroke) {
			panic(http.ErrAbortHandler)
		}
		s.refuseDirect(w, r, err, start)
		return
	}
	front.direct.Store(d.tunnel)
	c.tunnel, c.r, c.path, c.bind = d.tunnel, d.r, d.r.URL.Path, s.bind(d.tunnel)
	c.run()
}

// frontState ends a direct request when its connection goes on to the next one, or ends.
func (s *Server) frontState(conn net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateNew {
		return
	}
	if front, ok := conn.(*frontConn); ok {
		if t := front.direct.Swap(nil); t != nil {
			s.tunnels.remove(t)
		}
	}
}

func frontOf(r *http.Request) *frontConn {
	front, _ := r.Context().Value(frontKey{}).(*frontConn)
	return front
}

// refuseDirect answers in the form of the API that was called, as far as that can be told.
func (s *Server) refuseDirect(w http.ResponseWriter, r *http.Request, err error, start time.Time) {
	a, path := explain(err), r.URL.Path
	if !r.URL.IsAbs() {
		a.base = true
		if rest, ok := strings.CutPrefix(path, basePath); ok {
			_, path, _ = strings.Cut(rest, "/")
			path = "/" + path
		}
	}
	if a.code == codeShuttingDown || errors.Is(err, errUploadStalled) {
		w.Header().Set("Connection", "close")
	}
	f := formOf(path, false)
	writeAnswer(w, a, f, s.bayeuxOf(w, r, f)...)
	s.logConnect(r, a, time.Since(start))
}

func (s *Server) judgeDirect(r *http.Request) (direct, error) {
	if r.URL.IsAbs() {
		return s.absolute(r)
	}
	return s.byBase(r)
}

// absolute judges a request in absolute form (RFC 9112, section 3.2.2), which goes on by TLS.
func (s *Server) absolute(r *http.Request) (direct, error) {
	port := r.URL.Port()
	if !frontOf(r).private() {
		return direct{}, errPlaintext
	}
	if r.URL.User != nil { // RFC 9110, section 4.2.4.
		return direct{}, &access.RefusalError{Code: access.BadRequest, Message: "the URL has a user: show a client's credentials in Proxy-Authorization"}
	}
	if r.URL.Scheme != "http" || port != "" && port != "80" {
		return direct{}, &access.RefusalError{Code: access.HostNotAllowed,
			Message: "this is no http:// URL on port 80: only those are taken on by TLS, call others through HTTPS_PROXY"}
	}
	target, refusal := access.ParseTarget(net.JoinHostPort(r.URL.Hostname(), "443"))
	if refusal != nil {
		return direct{}, refusal
	}
	var creds access.Credentials
	if v := r.Header["Proxy-Authorization"]; len(v) == 1 {
		creds, _ = access.ParseBasic(v[0])
	}
	snap := s.opts.Registry.Snapshot()
	id, err := s.identify.Identify(r.Context(), snap, creds, callerOf(r))
	if err != nil {
		return direct{}, err
	}
	if !snap.Claimed(target.Host) {
		return direct{}, &access.RefusalError{Code: access.HostNotAllowed,
			Message: "no org claims " + target.Host + ", and other hosts are never called by plain http://"}
	}
	t := s.directTunnel(r, target, id)
	t.userOrg = creds.Org
	return direct{t, readdressed(r, target, &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery})}, nil
}

// byBase judges a request by base URL.
func (s *Server) byBase(r *http.Request) (direct, error) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), basePath)
	name, rest, _ := strings.Cut(rest, "/")
	front := frontOf(r)
	switch {
	case !ok || name == "":
		return direct{}, errNoBase
	case !front.private():
		return direct{}, errPlaintext
	case len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0:
		return direct{}, errWebPage
	case !front.unix() && !isOwnName(r.Host):
		return direct{}, errForeignName
	}
	path, send, refusal := access.Canonical("/" + rest)
	if refusal != nil {
		return direct{}, refusal
	}
	u := &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	if send != path {
		u.RawPath = send
	}
	snap := s.opts.Registry.Snapshot()
	id, wanted, err := s.identifyBase(r, snap, path)
	if err != nil {
		return direct{}, err
	}
	if id.Local {
		return direct{}, &access.RefusalError{Code: access.ProxyAuthRequired,
			Message: "by base URL every caller shows a client's credentials: Basic with its name and secret"}
	}
	org := snap.Org(name)
	if org == nil || !snap.MayUse(id.Name, org.Key) || wanted != "" && wanted != name {
		return direct{}, &access.RefusalError{Code: access.OrgNotAllowed,
			Message: "this client may not use the org that the URL names, or there is none of that name: add it to the client's orgs"}
	}
	target := homeOf(snap, org)
	t := s.directTunnel(r, target, id)
	t.userOrg = name
	scheme := "http://"
	if front.secure() {
		scheme = "https://"
	}
	t.base = scheme + r.Host + basePath + name
	return direct{t, readdressed(r, target, u)}, nil
}

// identifyBase tells who calls by what stands where the API carries its session, and which org that was made for, empty
// if it doesn't say.
func (s *Server) identifyBase(r *http.Request, snap *registry.Snapshot, path string) (access.Identity, string, error) {
	from := callerOf(r)
	ctx := r.Context()
	var bearer secret.Text
	switch v := r.Header["Authorization"]; {
	case len(v) > 1:
		return access.Identity{}, "", &access.RefusalError{Code: access.BadRequest, Message: "there is more than one Authorization header: send one"}
	case len(v) == 1:
		if creds, ok := access.ParseBasic(v[0]); ok {
			id, err := s.identify.Identify(ctx, snap, creds, from)
			return id, creds.Org, err
		}
		_, token, _ := strings.Cut(v[0], " ")
		bearer = secret.NewText(strings.TrimSpace(token))
	case len(r.Header["X-Sfdc-Session"]) == 1:
		bearer = secret.NewText(r.Header["X-Sfdc-Session"][0])
	case s.certified(snap, from): // That is enough, and what stands in the body is for show.
		id, err := s.identify.Identify(ctx, snap, access.Credentials{}, from)
		return id, "", err
	case isSOAP(path):
		creds, session, err := carriedBySOAP(r, path)
		if err != nil {
			return access.Identity{}, "", err
		}
		if creds.Given() {
			id, err := s.identify.Identify(ctx, snap, creds, from)
			return id, creds.Org, err
		}
		bearer = session
	default:
		if kind, ok := virtual.Endpoint(path); ok && kind == virtual.Token {
			creds, err := carriedByForm(r)
			if err != nil {
				return access.Identity{}, "", err
			}
			if creds.Given() {
				id, err := s.identify.Identify(ctx, snap, creds, from)
				return id, creds.Org, err
			}
		}
	}
	if !isOurs(bearer) && s.certified(snap, from) { // A token of the client's own is dropped, as in a tunnel.
		id, err := s.identify.Identify(ctx, snap, access.Credentials{}, from)
		return id, "", err
	}
	if claim, ok := s.placeholders.Open(bearer.Reveal()); ok {
		id, ok := s.identify.ByStamp(snap, claim.Client, claim.ClientStamp, from)
		org := snap.OrgByKey(claim.Org)
		if !ok || org == nil {
			return access.Identity{}, "", &access.RefusalError{Code: access.ProxyAuthRequired,
				Message: "the session was made for a client that was removed or has another secret now: log in again"}
		}
		return id, org.Name, nil
	}
	id, creds, err := s.identify.IdentifyBearer(ctx, snap, bearer, from)
	return id, creds.Org, err
}

// isOurs reports whether a text may be a credential of sallyport's: no session of Salesforce's has these forms.
func isOurs(t secret.Text) bool {
	return virtual.IsPlaceholder(t.Reveal()) || registry.IsGenerated(t) || strings.Contains(t.Reveal(), ":")
}

// certified reports whether the caller has shown a certificate of some client's.
func (s *Server) certified(snap *registry.Snapshot, from access.Caller) bool {
	_, found, refusal := s.identify.ByCertificate(snap, from.Chain)
	return found || refusal != nil
}

// carriedBySOAP returns what a SOAP request carries: a session, or a login's user and password. What it reads of the
// body it puts back.
func carriedBySOAP(r *http.Request, path string) (creds access.Credentials, session secret.Text, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return creds, session, errSOAPMethod
	}
	var src io.ReadCloser
	seen := &bytes.Buffer{}
	if coding := r.Header["Content-Encoding"]; len(coding) > 0 && !strings.EqualFold(coding[0], "identity") {
		if !isGzip(coding) {
			return creds, session, errSOAPCoding
		}
		// What is read is put back as it came. It is bounded: gzip may hold any number of empty blocks.
		if src, err = newUnzipper(&putBack{io.TeeReader(io.LimitReader(r.Body, 4*soap.MaxHead), seen), r.Body}); err != nil {
			return creds, session, err
		}
	} else {
		src = &putBack{io.TeeReader(r.Body, seen), r.Body}
	}
	defer func() { r.Body = &putBack{io.MultiReader(seen, r.Body), r.Body} }()
	head, err := soap.Read(src)
	var wrong *soap.Error
	switch {
	case err == nil:
		text, _ := head.Text() // What is no plain text is no secret of a client's.
		return creds, secret.NewText(strings.TrimSpace(text)), nil
	case !errors.As(err, &wrong) || wrong.Kind != soap.NoSession || !isLogin(path, head.Operation.Local):
		return creds, session, soapRefusal(err)
	}
	more, err := io.ReadAll(io.LimitReader(src, soap.MaxHead))
	head.Raw = append(head.Raw[:len(head.Raw):len(head.Raw)], more...)
	if err != nil {
		return creds, session, soapRefusal(err)
	}
	var login struct {
		User     string `xml:"Body>login>username"`
		Password string `xml:"Body>login>password"`
	}
	if xml.Unmarshal(head.Raw, &login) != nil {
		return creds, session, &access.RefusalError{Code: access.BadRequest, Message: "the login's envelope can't be read"}
	}
	creds.Name, creds.Org, _ = strings.Cut(login.User, "+")
	creds.Secret = secret.NewText(login.Password)
	return creds, session, nil
}

// carriedByForm returns who a request for a token says that it is. The body is put back.
func carriedByForm(r *http.Request) (access.Credentials, error) {
	if r.Body == nil {
		return access.Credentials{}, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10+1)) // As much as the endpoint takes, which says what is too much.
	if err != nil {
		return access.Credentials{}, soapRefusal(err)
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	r.Body = &putBack{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	var creds access.Credentials
	if request, wrong := virtual.ParseToken(again); wrong == nil { // Else the endpoint says what, to a caller that is known.
		creds.Name, creds.Org, _ = strings.Cut(request.Name, "+")
		creds.Secret = request.Secret
	}
	return creds, nil
}

// directTunnel stands for the tunnel that the request isn't inside of.
func (s *Server) directTunnel(r *http.Request, target access.Target, id access.Identity) *tunnel {
	front := frontOf(r)
	return &tunnel{Conn: front, server: s, target: target, id: id, parent: remoteParent(r.Header), peer: r.RemoteAddr,
		local: front.local}
}

// readdressed is r for the target's own authority, at u.
func readdressed(r *http.Request, target access.Target, u *url.URL) *http.Request {
	r = r.WithContext(r.Context())
	r.URL, r.Host = u, target.String()
	return r
}

// homeOf is where an org's APIs are: its My Domain.
func homeOf(s *registry.Snapshot, org *registry.Org) access.Target {
	login, port := org.LoginHost(), uint16(443)
	for _, h := range s.HostsOf(org.Key) {
		if h != login && !registry.IsShared(h) && registry.IsShared(login) {
			login = h
			break
		}
	}
	if org.ForeignHosts {
		if u, err := url.Parse(org.LoginURL); err == nil && u.Hostname() == login && u.Port() != "" {
			if t, refusal := access.ParseTarget(u.Host); refusal == nil {
				port = t.Port
			}
		}
	}
	return access.Target{Host: login, Port: port}
}

// isOwnName reports whether an authority is an IP literal or localhost, which no web page can have for a name of its
// own (DNS rebinding).
func isOwnName(authority string) bool {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// callerOf is what is known of the connection of r.
func callerOf(r *http.Request) access.Caller {
	front := frontOf(r)
	return access.Caller{Local: front != nil && front.local, Peer: r.RemoteAddr, Chain: front.chain()}
}

// private reports whether nobody else can read what goes over the connection.
func (c *frontConn) private() bool { return c != nil && (c.local || c.secure()) }

func (c *frontConn) secure() bool {
	_, ok := c.Conn.(*tls.Conn)
	return ok
}

func (c *frontConn) unix() bool {
	_, ok := c.LocalAddr().(*net.UnixAddr)
	return ok
}

// rebase makes a URL of the org's in a header of the answer one of the base URL.
func (c *call) rebase(h http.Header) {
	if c.tunnel.base == "" {
		return
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		v := h[name]
		if len(v) != 1 {
			continue
		}
		u, err := url.Parse(v[0])
		if err != nil {
			continue
		}
		if u.Host == "" && strings.HasPrefix(u.Path, "/") || u.Scheme == "https" && c.tunnel.target.Names(u.Host) {
			u.Scheme, u.Host = "", ""
			h[name] = []string{c.tunnel.base + u.String()}
		}
	}
}
