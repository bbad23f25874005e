package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Where a container finds the CA and the bundle.
const (
	containerDir    = "/etc/sallyport-trust"
	containerCA     = containerDir + "/sallyport-ca.pem"
	containerBundle = containerDir + "/bundle.pem"
)

// direct is what programs reach without the proxy.
const direct = "localhost,127.0.0.1,::1"

// variable is a name and its value in clear.
type variable struct{ name, value string }

// variables are what programs read, for a proxy at the URL at.
func variables(at, ca, bundle string) []variable {
	return []variable{
		{"HTTPS_PROXY", at}, {"https_proxy", at}, {"NO_PROXY", direct}, {"no_proxy", direct},
		{"NODE_EXTRA_CA_CERTS", ca}, {"NODE_USE_ENV_PROXY", "1"},
		{"CURL_CA_BUNDLE", bundle}, {"REQUESTS_CA_BUNDLE", bundle}, {"SSL_CERT_FILE", bundle}, {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle},
	}
}

// inContainer is where a container finds the bundle, which may be the CA alone.
func inContainer(ca, bundle string) string {
	if ca == bundle {
		return containerCA
	}
	return containerBundle
}

// loopback reports whether the proxy's address means the container itself to a program in one.
func loopback(proxy *url.URL) bool {
	ip, err := netip.ParseAddr(proxy.Hostname())
	return proxy.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// placeholder stands for the secret where nothing would expand a variable. A program that is left with it is refused
// with 407, and doesn't go past the proxy.
const placeholder = "PUT-THE-SECRET-HERE"

// docker writes an env-file: NAME=value as it is, without quotes and without anything that would be expanded.
func (c *envCmd) docker(st *streams, proxy *url.URL, ca, bundle string) (string, error) {
	at := *proxy
	if c.Client != "" {
		at.User = url.UserPassword(c.Client, placeholder)
	}
	var b strings.Builder
	if c.WithSecret {
		secret := st.getenv("SALLYPORT_CLIENT_SECRET")
		if secret == "" {
			return "", &usageError{"SALLYPORT_CLIENT_SECRET isn't set: set it to the secret of client " + c.Client + " first"}
		}
		at.User = url.UserPassword(c.Client, secret)
		b.WriteString("# This file holds the secret of client " + c.Client + ": keep it at mode 0600.\n")
	} else if c.Client != "" {
		fmt.Fprintf(&b, "# Docker expands nothing here: write the secret of client %s, percent-encoded, for %s in the next two lines,\n", c.Client, placeholder)
		b.WriteString("# or have --with-secret take it from SALLYPORT_CLIENT_SECRET.\n")
	}
	insideBundle := inContainer(ca, bundle)
	for _, v := range variables(at.String(), containerCA, insideBundle) {
		b.WriteString(v.name + "=" + v.value + "\n")
	}
	b.WriteString("# docker run --env-file THIS-FILE --volume " + quote(ca+":"+containerCA+":ro"))
	if insideBundle != containerCA {
		b.WriteString(" --volume " + quote(bundle+":"+insideBundle+":ro"))
	} else {
		b.WriteString("\n# But for NODE_EXTRA_CA_CERTS, these replace the image's roots: to reach other hosts too, give --bundle FILE (sallyport trust makes one).")
	}
	b.WriteString("\n")
	if loopback(proxy) {
		fmt.Fprintf(&b, "# In a container %s is the container itself: add --network host, or give --proxy.\n", proxy.Hostname())
	}
	b.WriteString("# Java reads none of these: sallyport env --properties.\n")
	return b.String(), nil
}

// kubernetes writes the part of a pod's specification that concerns the proxy. The kubelet expands $(NAME) from the
// entries before it (Kubernetes, Define Dependent Environment Variables).
func (c *envCmd) kubernetes(proxy *url.URL, ca, bundle string) string {
	name, _, _ := strings.Cut(c.Client, "+")
	insideBundle := inContainer(ca, bundle)
	var b strings.Builder
	files := " --from-file=sallyport-ca.pem=" + quote(ca)
	if insideBundle != containerCA {
		files += " --from-file=bundle.pem=" + quote(bundle)
	}
	b.WriteString("# Once for the namespace, again when the CA is rotated:\n#   kubectl create configmap sallyport-ca" + files + "\n")
	at := proxy.Scheme + "://"
	if c.Client != "" {
		at += c.Client + ":$(SALLYPORT_CLIENT_SECRET)@"
		b.WriteString("# The secret must be percent-encoded where it isn't letters, digits, - and _, as those of sallyport client secret are:\n")
		fmt.Fprintf(&b, "#   printf %%s \"$SALLYPORT_CLIENT_SECRET\" | kubectl create secret generic sallyport-%s --from-file=secret=/dev/stdin\n", name)
	}
	at += proxy.Host
	if loopback(proxy) {
		fmt.Fprintf(&b, "# %s is right where sallyport is a sidecar in this pod; else give --proxy.\n", net.JoinHostPort(proxy.Hostname(), proxy.Port()))
	}
	if insideBundle == containerCA {
		b.WriteString("# But for NODE_EXTRA_CA_CERTS, these replace the image's roots: to reach other hosts too, give --bundle FILE (sallyport trust makes one).\n")
	}
	b.WriteString("# Java reads none of these: sallyport env --properties.\n")
	b.WriteString("spec:\n  containers:\n    - name: YOUR-CONTAINER\n      env:\n")
	if c.Client != "" {
		fmt.Fprintf(&b, "        - name: SALLYPORT_CLIENT_SECRET # before what refers to it\n          valueFrom:\n            secretKeyRef:\n              name: sallyport-%s\n              key: secret\n", name)
	}
	for _, v := range variables(at, containerCA, insideBundle) {
		fmt.Fprintf(&b, "        - name: %s\n          value: %s\n", v.name, scalar(v.value))
	}
	fmt.Fprintf(&b, "      volumeMounts:\n        - name: sallyport-ca\n          mountPath: %s\n          readOnly: true\n", containerDir)
	b.WriteString("  volumes:\n    - name: sallyport-ca\n      configMap:\n        name: sallyport-ca\n")
	return b.String()
}

// scalar writes a string as a double-quoted scalar of YAML 1.2, of which JSON's strings are a part.
func scalar(s string) string {
	b, _ := json.Marshal(s) // a string can always be marshalled
	return string(b)
}
