package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// The runtimes.
const (
	runtimeNode   = "node"
	runtimePython = "python"
	runtimeJava   = "java"
	runtimeGo     = "go"
	runtimeDotnet = "dotnet"
	runtimeCurl   = "curl"
)

// exampleHost stands for the reader's own.
const exampleHost = "YOUR-DOMAIN.my.salesforce.com"

// trustText is what a POSIX shell evaluates to have the runtime trust the files in dir, with how to check it.
func trustText(runtime, dir string, authorities int, roots systemRoots) string {
	ca, bundle, store := filepath.Join(dir, trustCA), filepath.Join(dir, trustBundle), filepath.Join(dir, trustJava)
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "# "+format+"\n", args...) }
	set := func(name, value string) { b.WriteString("export " + name + "=" + quote(value) + "\n") }
	joined := func() {
		say("%s has sallyport's CA (%d) and the public roots of %s (%d).", trustBundle, authorities, roots.file, len(roots.certs))
	}
	check := func(command string) { say("Check, with the proxy set (sallyport env CLIENT):"); say("  %s", command) }
	url := "https://" + exampleHost + "/services/data/"
	switch runtime {
	case runtimeNode:
		say("Node adds this CA to its own roots, when the process starts.")
		set("NODE_EXTRA_CA_CERTS", ca)
		say("grpc-js reads another variable, which replaces its roots.")
		joined()
		set("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle)
		check(`node -e 'fetch("` + url + `").then(r => console.log(r.status))'   # Node 22.21, 24 or newer, with NODE_USE_ENV_PROXY=1`)
	case runtimePython:
		joined()
		say("requests reads the first, httpx, aiohttp and the standard library the second, gRPC the third; each replaces the roots.")
		set("REQUESTS_CA_BUNDLE", bundle)
		set("SSL_CERT_FILE", bundle)
		set("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle)
		check(`python3 -c 'import urllib.request as u; print(u.urlopen("` + url + `").status)'`)
	case runtimeJava:
		say("%s has sallyport's CA (%d) and the public roots of %s (%d): it replaces the JDK's.", trustJava, authorities, roots.file, len(roots.certs))
		say("The password is the JDK's own and guards nothing. Java 8u301 and newer read the file.")
		set("JAVA_TOOL_OPTIONS", javaOptions(store))
		say("Java reads no HTTPS_PROXY: sallyport env CLIENT --properties.")
		say("Check:")
		say("  keytool -list -keystore %s -storepass changeit | grep sallyport", quote(store))
	case runtimeGo:
		joined()
		say("Go on Linux reads it in place of the system's file; on macOS and Windows put %s into the system's store.", trustCA)
		set("SSL_CERT_FILE", bundle)
		check("sallyport doctor --client --host " + exampleHost + "   # is a Go program itself")
	case runtimeDotnet:
		joined()
		say(".NET on Linux reads it in place of the system's file; on macOS and Windows put %s into the system's store.", trustCA)
		set("SSL_CERT_FILE", bundle)
		check("sallyport doctor --client --host " + exampleHost)
	case runtimeCurl:
		joined()
		set("CURL_CA_BUNDLE", bundle)
		check("curl -sS " + url)
	}
	if runtime != runtimeGo && runtime != runtimeDotnet {
		say("All at once: sallyport doctor --client --host %s", exampleHost)
	}
	return b.String()
}

// javaOptions are what JAVA_TOOL_OPTIONS holds. The JVM takes it apart at blanks, but for what stands in quotes.
func javaOptions(store string) string {
	if strings.ContainsAny(store, " \t") {
		store = `"` + store + `"`
	}
	return "-Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit"
}
