package clients_test

import "path/filepath"

// program is one client: a command that does rounds until the file STOP is there.
type program struct {
	name    string
	command func(s *site) []string
	env     func(s *site) []string
	least   int  // rounds
	unnamed bool // it gets no proxy variables
	proxied bool // it can't be run without sallyport
	signsIn bool // its first round does nothing else
}

func none(*site) []string { return nil }

func script(file string) func(*site) []string {
	return func(s *site) []string { return []string{"bash", s.path("loop.sh"), s.path(file)} }
}

func node(file string) func(*site) []string {
	return func(s *site) []string { return []string{s.node, s.path(file)} }
}

func python(file string) func(*site) []string {
	return func(s *site) []string { return []string{"/usr/bin/python3", s.path(file)} }
}

// trustNode is what Node needs beside HTTPS_PROXY: the CA.
func trustNode(s *site) []string { return []string{"NODE_EXTRA_CA_CERTS=" + s.ca} }

// proxyNode has Node's own fetch, http and https read HTTPS_PROXY, too.
func proxyNode(s *site) []string { return append(trustNode(s), "NODE_USE_ENV_PROXY=1") }

func curlCA(s *site) []string { return []string{"CURL_CA_BUNDLE=" + s.ca} }

// programs are the clients, with what each needs to be told.
var programs = []program{
	{name: "curl", command: script("curl/rest.sh"), env: curlCA, least: 3},
	{name: "curl-bulk", command: script("curl/bulk.sh"), env: curlCA, least: 3},
	{name: "curl-soap", command: script("curl/soap.sh"), env: curlCA, least: 3},
	{name: "requests", command: python("python/rest.py"), env: func(s *site) []string { return []string{"REQUESTS_CA_BUNDLE=" + s.ca} }, least: 5},
	{name: "jsforce", command: node("jsforce/rest.mjs"), env: trustNode, least: 5},
	{name: "jsforce-bulk", command: node("jsforce/bulk.mjs"), env: trustNode, least: 5},
	{name: "jsforce-soap", command: node("jsforce/soap.mjs"), env: trustNode, least: 5},
	{name: "jsforce-streaming", command: node("jsforce/streaming.mjs"), env: proxyNode, least: 5},
	{name: "jsforce-refresh", command: node("jsforce/refresh.mjs"), env: func(s *site) []string {
		return append(trustNode(s), "DUMMY_CLIENT_ID="+s.dummy.clientID, "DUMMY_CLIENT_SECRET="+s.dummy.clientSecret, "DUMMY_REFRESH_TOKEN="+s.dummy.refreshToken)
	}, least: 5, proxied: true},
	{name: "salesforce-core", command: node("sfcore/core.mjs"), env: trustNode, least: 5},
	{name: "sf", command: script("sfcli/round.sh"), least: 4, signsIn: true, env: func(s *site) []string {
		return append(trustNode(s), "PATH="+filepath.Join(s.npm, ".bin")+":"+filepath.Dir(s.node)+":/usr/bin:/bin", "SF_DISABLE_TELEMETRY=true", "SF_AUTOUPDATE_DISABLE=true",
			"SF_SKIP_NEW_VERSION_CHECK=true", "SF_USE_GENERIC_UNIX_KEYCHAIN=true", "SF_ORG_API_VERSION=65.0")
	}},
	{name: "fetch", command: node("node/fetch.mjs"), env: proxyNode, least: 5},
	{name: "undici", command: node("node/undici.mjs"), env: trustNode, least: 5},
	{name: "net-http", command: func(*site) []string { return []string{built("gohttp")} }, env: func(s *site) []string { return []string{"SSL_CERT_FILE=" + s.ca} }, least: 5},
	{name: "go-salesforce", command: func(*site) []string { return []string{built("gosalesforce")} }, env: func(s *site) []string { return []string{"SSL_CERT_FILE=" + s.ca} }, least: 3},
	{name: "java", least: 5, env: none, proxied: true, command: func(s *site) []string {
		host, port := s.hostPort()
		return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dhttps.proxyHost=" + host, "-Dhttps.proxyPort=" + port, "-Djdk.http.auth.tunneling.disabledSchemes=",
			"-Djavax.net.ssl.trustStore=" + s.trustStore, "-Djavax.net.ssl.trustStoreType=PKCS12", "-Djavax.net.ssl.trustStorePassword=changeit", s.path("java/Client.java")}
	}},
	{name: "pubsub", command: func(s *site) []string { return []string{s.node, filepath.Join(s.pubsub, "pubsub/pubsub.mjs")} }, env: func(s *site) []string {
		return []string{"ORGANIZATION_ID=" + s.orgID}
	}, least: 5},
	{name: "base-url", command: python("python/baseurl.py"), env: func(s *site) []string { return []string{"BASE_URL=http://" + s.proxy + "/org/acme"} }, least: 5, unnamed: true, proxied: true},
}
