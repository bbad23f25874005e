package registry

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// maxSecret is the longest client secret in bytes. A proxy credential has to fit into a request head.
const maxSecret = 1024

var methodForm = regexp.MustCompile(`^[A-Z][A-Z-]{0,31}$`)

var allowed = []string{AllowExecuteAnonymous, AllowApexSOAP, AllowAuthSession, AllowOauthToken}

func (k *checker) client(path string, c ClientChange) {
	k.unique(path+".orgs", c.Orgs)
	for i, m := range c.Methods {
		at := fmt.Sprintf("%s.methods[%d]", path, i)
		switch {
		case m != strings.ToUpper(m):
			k.fault(at, "%q: methods are upper-case, write %q", m, strings.ToUpper(m))
		case !methodForm.MatchString(m):
			k.fault(at, "%q is no HTTP method", m)
		case m == "CONNECT":
			k.fault(at, "CONNECT opens tunnels and is never a request's method; name the methods inside the tunnel")
		}
	}
	k.unique(path+".methods", c.Methods)
	k.notEmpty(path+".methods", c.Methods)
	for i, p := range c.Paths {
		if err := checkPrefix(p); err != nil {
			k.fault(fmt.Sprintf("%s.paths[%d]", path, i), "%v", err)
		}
	}
	k.unique(path+".paths", c.Paths)
	k.notEmpty(path+".paths", c.Paths)
	k.certificates(path+".certificates", c.Certificates)
	if c.Passthrough != nil {
		for i, p := range *c.Passthrough {
			if err := CheckPassthrough(p); err != nil {
				k.fault(fmt.Sprintf("%s.passthrough[%d]", path, i), "%v", err)
			}
		}
		k.unique(path+".passthrough", *c.Passthrough)
	}
	if r := c.Limits.RequestsPerSecond; r < 0 || math.IsNaN(r) || math.IsInf(r, 0) {
		k.fault(path+".limits.requestsPerSecond", "it must be a number above 0")
	}
	if c.Limits.Concurrent < 0 {
		k.fault(path+".limits.concurrent", "it must be a number above 0")
	}
	if c.Mode != ModeEnforce && c.Mode != ModeReport {
		k.fault(path+".mode", "%q is no mode; use %s or %s", c.Mode, ModeReport, ModeEnforce)
	}
	if c.Traces != "" && c.Traces != TracesTrusted {
		k.fault(path+".traces", "%q is unknown; use %s, or leave it out", c.Traces, TracesTrusted)
	}
	for i, a := range c.Allow {
		if !slices.Contains(allowed, a) {
			k.fault(fmt.Sprintf("%s.allow[%d]", path, i), "%q is unknown; use %s", a, strings.Join(allowed, ", "))
		}
	}
	k.unique(path+".allow", c.Allow)
	switch s := c.Secret.Reveal(); {
	case len(s) > maxSecret:
		k.fault(path+".secret", "the secret is longer than %d bytes", maxSecret)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		k.fault(path+".secret", "the secret has a control character in it, a line break perhaps")
	}
}

// checkPrefix tells why p is no prefix of a canonical path. Policy judges canonical paths: another prefix would match
// nothing.
func checkPrefix(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("%q: a path begins with /", p)
	}
	if i := strings.IndexFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`%\;?#`, r) }); i >= 0 {
		return fmt.Errorf("%q: a path prefix is decoded, and has no space, control character or any of %%, \\, ;, ?, #", p)
	}
	parts := strings.Split(p[1:], "/")
	for i, part := range parts {
		if part == "" && i < len(parts)-1 || part == "." || part == ".." {
			return fmt.Errorf("%q: a path prefix has no //, /./ or /../", p)
		}
	}
	return nil
}
