package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/sallyport/sallyport/internal/admin"
)

// javaProperties are the system properties of JAVA_TOOL_OPTIONS, which every JVM reads, and JDK_JAVA_OPTIONS, which the
// launcher java adds and which wins.
func javaProperties(st *streams) map[string]string {
	all := map[string]string{}
	for _, variable := range []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"} {
		for _, option := range javaWords(st.getenv(variable)) {
			if kv, ok := strings.CutPrefix(option, "-D"); ok {
				name, value, _ := strings.Cut(kv, "=")
				all[name] = value
			}
		}
	}
	return all
}

// javaWords takes options apart at blanks, but for what stands in single or double quotes.
func javaWords(s string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// javaProxyFinding judges how Java gets to the proxy. It reads no HTTPS_PROXY.
func javaProxyFinding(st *streams, host string, proxy *url.URL) admin.Finding {
	p := javaProperties(st)
	f := admin.Finding{Check: "java", Result: admin.ResultNotVisible, What: "neither JAVA_TOOL_OPTIONS nor JDK_JAVA_OPTIONS names a proxy, and Java reads no HTTPS_PROXY",
		Hint: "a Java program gets it from its own options: sallyport env CLIENT --properties"}
	if p["https.proxyHost"] == "" {
		return f
	}
	port := p["https.proxyPort"]
	if port == "" {
		port = "443"
	}
	at := net.JoinHostPort(p["https.proxyHost"], port)
	f.Result, f.What, f.Hint = admin.ResultOK, "https.proxyHost and https.proxyPort name "+at, ""
	disabled, told := p["jdk.http.auth.tunneling.disabledSchemes"]
	switch {
	case proxy != nil && proxy.Host != at:
		f.Result, f.What, f.Hint = admin.ResultWrong, "Java's proxy is "+at+", that of the others "+proxy.Host, "set https.proxyHost and https.proxyPort"
	case proxy != nil && proxy.Scheme == "https":
		f.Result, f.What, f.Hint = admin.ResultWrong, "Java speaks no TLS to a proxy", "give it a plain listener on loopback"
	case proxy != nil && proxy.User != nil && (!told || strings.Contains(strings.ToLower(disabled), "basic")):
		f.Result, f.What = admin.ResultWrong, "Java refuses to give a proxy a password by Basic unless jdk.http.auth.tunneling.disabledSchemes is set to nothing"
		f.Hint = "add -Djdk.http.auth.tunneling.disabledSchemes="
	case nonProxy(p["http.nonProxyHosts"], host):
		f.Result, f.What, f.Hint = admin.ResultWrong, "http.nonProxyHosts takes "+host+" past the proxy", "take the host out of it"
	}
	return f
}

// nonProxy reports whether host is in http.nonProxyHosts: names set apart by |, with * at either end.
func nonProxy(list, host string) bool {
	for entry := range strings.SplitSeq(strings.ToLower(list), "|") {
		core, front := strings.CutPrefix(entry, "*")
		core, back := strings.CutSuffix(core, "*")
		switch {
		case entry == "":
		case front && back && strings.Contains(host, core), front && !back && strings.HasSuffix(host, core),
			back && !front && strings.HasPrefix(host, core), host == entry:
			return true
		}
	}
	return false
}

// errJKS says that a trust store has Java's own old form.
var errJKS = errors.New("it is in Java's old JKS form")

// readJavaStore reads a PKCS #12 trust store.
func readJavaStore(path, password string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		return nil, errJKS
	}
	return pkcs12.DecodeTrustStore(b, password)
}
