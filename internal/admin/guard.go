package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guarded refuses what a web page can make a browser send: another site's request carries Origin or Sec-Fetch-Site, and
// a name that was rebound to this address stands in Host.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !s.knownHost(r.Host):
			writeProblem(w, ProblemError{Status: http.StatusForbidden, Code: codeForbidden, Detail: "the request's Host is none of this listener's names",
				Hint: "call it by its IP address, or by localhost"})
		case len(r.Header.Values("Origin")) > 0 || site != "" && site != "none":
			writeProblem(w, ProblemError{Status: http.StatusForbidden, Code: codeForbidden, Detail: "a request that a web page makes is refused"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) knownHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(host)
	return host == "localhost" || slices.Contains(s.o.Hosts, host)
}

// authenticated lets through who has the token. Digests are compared, so that the time tells nothing of the token, its
// length neither.
func (s *Server) authenticated(next http.Handler) http.Handler {
	next = as(tokenActor, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		given := sha256.Sum256([]byte(token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(given[:], s.token[:]) != 1 {
			s.log.WarnContext(r.Context(), "an admin request without the token was refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr)
			w.Header().Set("WWW-Authenticate", `Bearer realm="sallyport admin"`)
			writeProblem(w, ProblemError{Status: http.StatusUnauthorized, Code: codeUnauthorized, Detail: "the admin token is missing or wrong",
				Hint: "set SALLYPORT_ADMIN_TOKEN to the server's, which is in admin.token of its state directory unless it was configured"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
