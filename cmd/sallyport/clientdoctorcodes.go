package main

import (
	"github.com/sallyport/sallyport/proxy/access"
	"github.com/sallyport/sallyport/tokens"
)

// mends says what to do about each code of Sallyport-Error.
var mends = map[string]string{
	string(access.ProxyAuthRequired):     "the client's name or secret isn't right: HTTPS_PROXY=http://CLIENT:SECRET@…; sallyport client secret CLIENT makes another one",
	string(access.HostNotAllowed):        "no org has this host, and it isn't in SALLYPORT_PASSTHROUGH_HOSTS: look at orgs[].hosts in the resources file",
	string(access.OrgNotAllowed):         "the client may not use this org: add it to clients[].orgs in the resources file",
	string(access.OrgAmbiguous):          "several orgs of this client have the host: choose one with CLIENT+ORG as the proxy's user",
	string(access.RequestNotAllowed):     "the way is right; clients[].methods and clients[].paths don't let this client ask for GET /services/data/",
	string(access.BadRequest):            "something between here and the proxy changes requests",
	string(access.Misdirected):           "something between here and the proxy changes requests",
	string(access.Overloaded):            "try again; if it stays, the proxy has too much to do",
	"plaintext_refused":                  "https:// inside the tunnel is needed here",
	"rate_limited":                       "the client is at its own limit: clients[].limits in the resources file",
	"upstream_timeout":                   "Salesforce didn't answer in time: try again",
	string(tokens.CodeReauthRequired):    "a person must authorise the org: sallyport grant authorize ORG",
	string(tokens.CodeSessionRejected):   "look at the integration user's login hours, IP ranges and permissions at Salesforce",
	string(tokens.CodeMisconfigured):     "the proxy's side is wrong: sallyport doctor there says what",
	string(tokens.CodeUnavailable):       "there is no access token just now: try again; sallyport explain ORG, on the proxy's side, says why",
	string(tokens.CodeEgressUnverified):  "the proxy's address isn't verified as registered: sallyport doctor there says more",
	string(tokens.CodeShuttingDown):      "the proxy is shutting down: try again",
	string(tokens.CodeUpstream):          "the proxy can't reach Salesforce: sallyport doctor there says more",
	string(tokens.CodeUpstreamTLS):       "the proxy doesn't trust what answers for Salesforce: SALLYPORT_UPSTREAM_CA_FILE",
	string(tokens.CodeAddressNotAllowed): "the host leads to an address that isn't public: SALLYPORT_ALLOW_ADDRESSES",
}

// mend says what to do about a code.
func mend(code string) string {
	if m := mends[code]; m != "" {
		return m
	}
	return "the log of sallyport serve says more"
}
