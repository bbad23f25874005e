package main

import (
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

// trustSource is what a runtime trusts, as far as it can be seen.
type trustSource struct {
	runtime  string
	trusts   string // the name that trust --runtime has for it
	variable string // the one that is set, else the one that could be
	set      bool
	adds     bool   // to roots of the runtime's own, which it doesn't replace
	own      string // where the runtime's roots are when nothing is set
	path     string // empty: nothing that can be seen
	certs    []*x509.Certificate
	err      error
}

// sources are the CA's file, with no runtime, and what each runtime trusts in this environment.
func (c *clientDoctor) sources(st *streams) (given trustSource, all []trustSource) {
	given = trustSource{variable: "--ca", set: c.CA != "", path: c.CA}
	given.read()
	system, systemErr := findRoots("", usualRoots, nil, nil)
	add := func(runtime, trusts string, variables []string, adds bool, own string) {
		s := trustSource{runtime: runtime, trusts: trusts, variable: variables[0], adds: adds, own: own}
		for _, v := range variables {
			if path := st.getenv(v); path != "" {
				s.variable, s.path, s.set = v, path, true
				break
			}
		}
		if s.set {
			s.read()
		} else if own == "" && systemErr == nil {
			s.own, s.path, s.certs = system.file, system.file, system.certs
		} else if own == "" {
			s.own = "the system's roots"
		}
		all = append(all, s)
	}
	add("curl", runtimeCurl, []string{"CURL_CA_BUNDLE", "SSL_CERT_FILE"}, false, "")
	add("Python's requests", runtimePython, []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}, false, "certifi's roots")
	add("Python's standard library, httpx and aiohttp", runtimePython, []string{"SSL_CERT_FILE"}, false, "")
	add("Go", runtimeGo, []string{"SSL_CERT_FILE"}, false, "")
	add(".NET", runtimeDotnet, []string{"SSL_CERT_FILE"}, false, "")
	add("Node", runtimeNode, []string{"NODE_EXTRA_CA_CERTS"}, true, "Node's own roots")
	add("gRPC", runtimePython, []string{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}, false, "gRPC's own roots")
	return given, append(all, javaSource(st))
}

func javaSource(st *streams) trustSource {
	s := trustSource{runtime: "Java", trusts: runtimeJava, variable: "javax.net.ssl.trustStore", own: "the JDK's cacerts"}
	p := javaProperties(st)
	if s.path = p["javax.net.ssl.trustStore"]; s.path == "" {
		return s
	}
	s.set = true
	s.certs, s.err = readJavaStore(s.path, p["javax.net.ssl.trustStorePassword"])
	return s
}

func (s *trustSource) read() {
	if s.path != "" {
		s.certs, _, s.err = readRoots(s.path)
	}
}

// pool has all that any of them trusts.
func pool(sources []trustSource) *x509.CertPool {
	p := x509.NewCertPool()
	for _, s := range sources {
		for _, c := range s.certs {
			p.AddCert(c)
		}
	}
	return p
}

// finding says whether the runtime would trust the chain.
func (s trustSource) finding(seen shown) admin.Finding {
	f := admin.Finding{Check: "trust of " + s.runtime, Result: admin.ResultOK, Hint: "sallyport trust --runtime " + s.trusts + " builds what it needs"}
	named := s.variable + "=" + s.path
	if errors.Is(s.err, errJKS) {
		f.Result, f.What, f.Hint = admin.ResultNotVisible, named+" is in Java's old JKS form", "keytool -list -keystore "+s.path+" shows what is in it"
		return f
	}
	if s.err != nil {
		f.Result, f.What = admin.ResultWrong, named+" can't be used: "+reason(s.err)
		return f
	}
	if s.path == "" {
		f.Result, f.What = admin.ResultNotVisible, s.variable+" isn't set: it reads "+s.own+", which can't be seen from here and have no CA of yours unless someone added it"
		return f
	}
	way, err := seen.vouched(s.certs)
	switch {
	case err != nil && !s.set:
		f.Result, f.What = admin.ResultNotVisible, s.variable+" isn't set, and "+s.own+" lacks the CA that signed the certificate: it won't trust the proxy unless it is set elsewhere"
	case err != nil:
		f.Result, f.What = admin.ResultWrong, named+": "+untrusted(err)
	case !s.set:
		f.What, f.Hint = s.own+" has the CA", ""
	case !s.adds && !slices.ContainsFunc(s.certs, func(c *x509.Certificate) bool { return !slices.ContainsFunc(way, c.Equal) }):
		f.Result, f.What = admin.ResultWarning, named+" has the CA and no other root: hosts that aren't intercepted won't be trusted"
	default:
		f.What, f.Hint = named+" has the CA", ""
	}
	return f
}

// untrusted says in a few words why a chain isn't trusted.
func untrusted(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "it lacks the CA that signed the certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName:
		return "its CA may not vouch for this host (name constraints)"
	case errors.As(err, &name):
		return "the certificate is for another host"
	}
	return err.Error()
}

// reason is the cause of an error about a file without the file's name, which stands beside it.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "/") {
		return rest
	}
	return text
}
