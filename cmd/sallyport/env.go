package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/config"
)

type envCmd struct {
	Client     string `arg:"" optional:"" help:"The client's name, or CLIENT+ORG; without it, for local callers who need no password."`
	Shell      bool   `xor:"form" help:"Print what a POSIX shell evaluates (this is the default)."`
	Docker     bool   `xor:"form" help:"Print an env-file for docker run, with the mounts that it needs."`
	K8s        bool   `name:"k8s" xor:"form" help:"Print what a Kubernetes container needs: env, volume and mount."`
	Properties bool   `xor:"form" help:"Print Java properties."`
	WithSecret bool   `help:"With --docker: write the secret of SALLYPORT_CLIENT_SECRET into the file."`
	Proxy      string `placeholder:"URL" help:"The proxy, http://HOST:PORT or https://HOST:PORT; by default the first listener in SALLYPORT_LISTEN, else http://127.0.0.1:3128."`
	CA         string `name:"ca" default:"sallyport-ca.pem" placeholder:"FILE" help:"The file that sallyport ca export was written to (${default})."`
	Bundle     string `placeholder:"FILE" help:"The system's roots with the CA's, for programs that read one file instead of adding to theirs; by default the CA alone."`
}

// proxyUser is a client's name, and with + an org's.
var proxyUser = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$`)

// Run prints the variables. It writes no file and asks no server.
func (c *envCmd) Run(st *streams) error {
	if c.Client != "" && !proxyUser.MatchString(c.Client) {
		return &usageError{fmt.Sprintf("%q is no client's name", c.Client)}
	}
	if c.WithSecret && (!c.Docker || c.Client == "") {
		return &usageError{"--with-secret goes with --docker and a client's name: everywhere else the secret stays out of what is printed"}
	}
	proxy, err := c.proxy(st)
	if err != nil {
		return err
	}
	ca, bundle, err := c.files()
	if err != nil {
		return err
	}
	text := c.shell(proxy, ca, bundle)
	switch {
	case c.Properties:
		text = properties(proxy, ca)
	case c.Docker:
		if text, err = c.docker(st, proxy, ca, bundle); err != nil {
			return err
		}
	case c.K8s:
		text = c.kubernetes(proxy, ca, bundle)
	}
	_, err = fmt.Fprint(st.out, text)
	return err
}

// proxy is the proxy's URL without a user.
func (c *envCmd) proxy(st *streams) (*url.URL, error) {
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
			strings.ContainsAny(c.Proxy, "'\"`$\\ ") {
			return nil, &usageError{"--proxy must be http://HOST:PORT or https://HOST:PORT"}
		}
		u.Path = ""
		return u, nil
	}
	listen := st.getenv("SALLYPORT_LISTEN")
	if listen == "" {
		return &url.URL{Scheme: "http", Host: "127.0.0.1:3128"}, nil
	}
	var all config.Listeners
	if err := all.UnmarshalText([]byte(listen)); err != nil {
		return nil, misconfigured("SALLYPORT_LISTEN: %w", err)
	}
	for _, l := range all {
		switch l.Kind {
		case config.KindPlain:
			return &url.URL{Scheme: "http", Host: dialable(l.Address)}, nil
		case config.KindTLS:
			return &url.URL{Scheme: "https", Host: dialable(l.Address)}, nil
		case config.KindUnix: // No program takes a socket as its proxy.
		}
	}
	return nil, &usageError{"SALLYPORT_LISTEN has sockets only, which these programs can't use: give --proxy"}
}

// files checks that the CA is there, and in the bundle.
func (c *envCmd) files() (ca, bundle string, err error) {
	ca, roots, err := certificateFile(c.CA)
	if err != nil {
		return "", "", fmt.Errorf("--ca: %w; write it with sallyport ca export > %s", err, c.CA)
	}
	if c.Bundle == "" {
		return ca, ca, nil
	}
	bundle, all, err := certificateFile(c.Bundle)
	if err != nil {
		return "", "", fmt.Errorf("--bundle: %w", err)
	}
	for _, root := range roots {
		if !slices.ContainsFunc(all, root.Equal) {
			return "", "", fmt.Errorf("--bundle: %s lacks the CA of %s: append that file to it", c.Bundle, c.CA)
		}
	}
	return ca, bundle, nil
}

func certificateFile(path string) (string, []*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	certs, err := parseCertificates(b)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	return abs, certs, err
}

// shell writes exports. The secret stays a variable, so that it is in no history and no file.
func (c *envCmd) shell(proxy *url.URL, ca, bundle string) string {
	at := proxy.Scheme + "://"
	if c.Client != "" {
		at += c.Client + ":${SALLYPORT_CLIENT_SECRET}@"
	}
	at += proxy.Host
	var b strings.Builder
	section := func(comment string, lines ...string) {
		fmt.Fprintf(&b, "# %s\n", comment)
		for _, l := range lines {
			b.WriteString("export " + l + "\n")
		}
	}
	if c.Client != "" {
		b.WriteString(": \"${SALLYPORT_CLIENT_SECRET:?set it to the secret of client " + c.Client + " first}\"\n")
	}
	section("curl, Python, Go, Node, .NET; gRPC and others read the lower-case names", `HTTPS_PROXY="`+at+`"`, `https_proxy="`+at+`"`,
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1")
	section("Node adds this CA to its own; its built-in fetch uses the proxy since 22.21 and 24", "NODE_EXTRA_CA_CERTS="+quote(ca), "NODE_USE_ENV_PROXY=1")
	if bundle == ca {
		b.WriteString("# The next ones replace the system's roots: to reach other hosts too, give --bundle FILE with both (sallyport trust makes one).\n")
	}
	section("curl", "CURL_CA_BUNDLE="+quote(bundle))
	section("Python: requests, and httpx and the standard library", "REQUESTS_CA_BUNDLE="+quote(bundle), "SSL_CERT_FILE="+quote(bundle))
	b.WriteString("# Go and .NET on Linux read SSL_CERT_FILE, too.\n")
	section("gRPC (C core: Python, Ruby, C++, PHP)", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="+quote(bundle))
	b.WriteString("# Java reads none of these: sallyport env --properties.\n")
	return b.String()
}

// properties writes Java's system properties.
func properties(proxy *url.URL, ca string) string {
	store := strings.TrimSuffix(ca, filepath.Ext(ca)) + ".p12"
	host, port, _ := net.SplitHostPort(proxy.Host) // has both: it was checked, or is a listener's
	var b strings.Builder
	fmt.Fprintf(&b, "# Make the trust store once:\n#   keytool -importcert -noprompt -alias sallyport -file %s -keystore %s -storetype PKCS12 -storepass changeit\n", quote(ca), quote(store))
	b.WriteString("# It replaces Java's own roots. With two roots in the file, import each by itself.\n")
	b.WriteString("# sallyport trust --runtime java makes one with the public roots, too.\n")
	b.WriteString("# Java has no property for a proxy's password: give java.net.Authenticator the client's name and secret.\n")
	for _, kv := range [][2]string{
		{"https.proxyHost", host}, {"https.proxyPort", port}, {"http.nonProxyHosts", "localhost|127.*|[::1]"},
		{"jdk.http.auth.tunneling.disabledSchemes", ""}, // Java refuses Basic to a proxy by default.
		{"javax.net.ssl.trustStore", store}, {"javax.net.ssl.trustStoreType", "PKCS12"}, {"javax.net.ssl.trustStorePassword", "changeit"},
	} {
		b.WriteString(kv[0] + "=" + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(kv[1]) + "\n")
	}
	return b.String()
}

// quote makes s one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
