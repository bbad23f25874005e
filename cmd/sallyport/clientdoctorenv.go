package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/sallyport/sallyport/internal/admin"
)

// proxySetting is the proxy to try. It has no URL where none was set, or none that can be used.
type proxySetting struct {
	from string // the flag or variable
	url  *url.URL
}

// chooseProxy takes the flag's proxy, or the variable's, and judges how programs take the variables.
func (c *clientDoctor) chooseProxy(st *streams) (proxySetting, []admin.Finding) {
	upper, lower := st.getenv("HTTPS_PROXY"), st.getenv("https_proxy")
	var all []admin.Finding
	tell := func(result, what, hint string) {
		all = append(all, admin.Finding{Check: "proxy variables", Result: result, What: what, Hint: hint})
	}
	const hint = `eval "$(sallyport env CLIENT)" sets both`
	s := proxySetting{from: "--proxy"}
	value := c.Proxy
	if value == "" {
		if s.from, value = "HTTPS_PROXY", upper; value == "" {
			s.from, value = "https_proxy", lower
		}
	}
	switch {
	case upper == "" && lower == "":
		result := admin.ResultWrong
		if c.Proxy != "" {
			result = admin.ResultWarning
		}
		tell(result, "neither HTTPS_PROXY nor https_proxy is set: programs of this shell don't go through a proxy", hint)
	case upper != "" && lower != "" && upper != lower:
		tell(admin.ResultWrong, "HTTPS_PROXY and https_proxy differ: Go takes the first, curl, Python and jsforce the second", hint)
	case lower == "":
		tell(admin.ResultWarning, "https_proxy isn't set: gRPC (C core) reads only the lower-case name", hint)
	default:
		tell(admin.ResultOK, s.from+" is set", "")
	}
	if value == "" {
		return proxySetting{}, all
	}
	u, why := parseProxy(value)
	if u == nil {
		all = append(all, admin.Finding{Check: "proxy", Result: admin.ResultWrong, What: s.from + " " + why, Hint: "set it to http://CLIENT:SECRET@HOST:PORT"})
		return s, all
	}
	if password, _ := u.User.Password(); password == placeholder {
		all = append(all, admin.Finding{Check: "proxy", Result: admin.ResultWrong, What: s.from + " has " + placeholder + " where the client's secret belongs", Hint: "write the secret there"})
	}
	s.url = u
	return s, all
}

// parseProxy reads a proxy's URL as programs do: without a scheme it is http. Of what is wrong nothing is repeated: a
// secret stands in it.
func parseProxy(value string) (u *url.URL, why string) {
	if strings.Contains(value, "${") || strings.Contains(value, "$(") {
		return nil, "still has a variable in it that nothing expanded"
	}
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "": // a raw / ? # in a secret
		return nil, "is no URL of a proxy; a secret with other characters than letters, digits, - and _ must be percent-encoded"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "is for " + strconv.Quote(u.Scheme) + "; sallyport speaks http and https"
	case u.Port() == "" && u.Scheme == "http":
		u.Host += ":80"
	case u.Port() == "":
		u.Host += ":443"
	}
	return u, ""
}

// masked is the URL for people. What may be a secret isn't in it.
func masked(u *url.URL) string {
	at := u.Scheme + "://"
	if u.User != nil {
		user := "***"
		if _, has := u.User.Password(); has && proxyUser.MatchString(u.User.Username()) {
			user = u.User.Username() + ":***"
		}
		at += user + "@"
	}
	return at + u.Host
}

// proxyTraps are variables that lead some programs elsewhere.
func proxyTraps(st *streams, host string) []admin.Finding {
	var all []admin.Finding
	tell := func(check, result, what, hint string) {
		all = append(all, admin.Finding{Check: check, Result: result, What: what, Hint: hint})
	}
	upper, lower := st.getenv("HTTPS_PROXY"), st.getenv("https_proxy")
	if h := st.getenv("http_proxy"); h != "" && lower == "" && upper != "" && h != upper {
		tell("http_proxy", admin.ResultWrong, "jsforce and the sf CLI take http_proxy before HTTPS_PROXY, and it names another proxy", "set https_proxy to what HTTPS_PROXY is")
	}
	if g := st.getenv("grpc_proxy"); g != "" && g != lower {
		tell("grpc_proxy", admin.ResultWarning, "gRPC takes grpc_proxy before https_proxy, and it names another proxy", "unset grpc_proxy")
	}
	if st.getenv("ALL_PROXY")+st.getenv("all_proxy") != "" && upper+lower == "" {
		tell("ALL_PROXY", admin.ResultWarning, "only curl and a few others read ALL_PROXY", "set HTTPS_PROXY and https_proxy")
	}
	excluded := false
	for _, name := range []string{"NO_PROXY", "no_proxy", "no_grpc_proxy"} {
		for _, entry := range strings.FieldsFunc(st.getenv(name), func(r rune) bool { return r == ',' || r == ' ' }) {
			if bypasses(entry, host) {
				excluded = true
				tell("NO_PROXY", admin.ResultWrong, fmt.Sprintf("%s has %q, which takes %s past the proxy (jsforce alone doesn't read it)", name, entry, host), "take it out of "+name)
			}
		}
	}
	if !excluded {
		tell("NO_PROXY", admin.ResultOK, "it doesn't take "+host+" past the proxy", "")
	}
	return all
}

func bypasses(entry, host string) bool {
	c := httpproxy.Config{HTTPSProxy: "http://proxy.invalid:1", NoProxy: entry}
	proxy, err := c.ProxyFunc()(&url.URL{Scheme: "https", Host: host})
	return err == nil && proxy == nil
}

// nodeVersion is what node --version prints.
var nodeVersion = regexp.MustCompile(`^v(\d+)\.(\d+)\.\d+`)

// nodeFinding judges the Node on the PATH, if there is one: its own fetch uses a proxy since 22.21 and 24 only, and
// only when it is asked to.
func nodeFinding(ctx context.Context, st *streams) admin.Finding {
	f := admin.Finding{Check: "node"}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		f.Result, f.What = admin.ResultNotVisible, "there is no node on the PATH"
		return f
	}
	v := nodeVersion.FindStringSubmatch(string(out))
	if err != nil || v == nil {
		f.Result, f.What = admin.ResultNotVisible, "the node on the PATH doesn't tell its version"
		return f
	}
	f.Result, f.What, f.Hint = judgeNode(v[0], v[1], v[2], st.getenv("NODE_USE_ENV_PROXY") == "1")
	return f
}

func judgeNode(version, majorText, minorText string, asked bool) (result, what, hint string) {
	major, _ := strconv.Atoi(majorText) // digits
	minor, _ := strconv.Atoi(minorText)
	switch able := major >= 24 || major == 22 && minor >= 21; {
	case !able:
		return admin.ResultWarning, version + " is too old for NODE_USE_ENV_PROXY (22.21, 24): its own fetch goes past the proxy",
			"use jsforce, an undici ProxyAgent, or a newer Node"
	case !asked:
		return admin.ResultWarning, version + " can use the proxy and isn't asked to: its own fetch goes past it", "set NODE_USE_ENV_PROXY=1"
	}
	return admin.ResultOK, version + " uses the proxy (NODE_USE_ENV_PROXY=1)", ""
}
