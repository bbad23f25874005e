package registry

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// minSessionTimeout is the shortest session timeout that is taken.
const minSessionTimeout = time.Second

func (k *checker) org(path string, o OrgChange) {
	if o.App == "" {
		k.fault(path+".app", "the org names no app")
	}
	if o.PreviousName != "" {
		if !nameForm.MatchString(o.PreviousName) {
			k.fault(path+".previousName", "%q is no name", o.PreviousName)
		} else if o.PreviousName == o.Name {
			k.fault(path+".previousName", "the org already has the name %q", o.Name)
		}
	}
	host := k.loginURL(path+".loginUrl", o)
	for i, h := range o.Hosts {
		if err := checkOrgHost(h, o.ForeignHosts); err != nil {
			k.fault(fmt.Sprintf("%s.hosts[%d]", path, i), "%v", err)
		}
	}
	k.unique(path+".hosts", o.Hosts)
	k.notEmpty(path+".hosts", o.Hosts)
	switch o.Grant {
	case GrantRefreshToken:
	case GrantClientCredentials:
		if !o.Seed.IsZero() {
			k.fault(path+".refreshToken", "an org with the client_credentials grant has no refresh token")
		}
		if host != "" && !o.ForeignHosts && !isMyDomain(host) {
			k.fault(path+".loginUrl", "client_credentials works on the org's My Domain only "+
				"(https://NAME.my.salesforce.com), not on %s", host)
		} else if host == "login.salesforce.com" || host == "test.salesforce.com" {
			k.fault(path+".loginUrl", "client_credentials never works on %s; give the org's My Domain", host)
		}
	default:
		k.fault(path+".grant", "%q is no grant; use %s or %s", o.Grant, GrantRefreshToken, GrantClientCredentials)
	}
	if !printable(o.Seed.Reveal()) {
		k.fault(path+".refreshToken", "the refresh token has a space or a control character in it")
	}
	if o.SessionTimeout != 0 && o.SessionTimeout < minSessionTimeout {
		k.fault(path+".sessionTimeout", "%v is shorter than 1s", o.SessionTimeout)
	}
	if a := o.Egress; a.IsValid() && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != "") {
		k.fault(path+".egress", "%v is no address that a connection can leave from", a)
	}
}

// loginURL returns the host of a URL whose form is right, else "". It never quotes user information.
func (k *checker) loginURL(path string, o OrgChange) string {
	if o.LoginURL == "" {
		k.fault(path, "the org has no loginUrl")
		return ""
	}
	u, err := url.Parse(o.LoginURL)
	switch {
	case err != nil, u.Opaque != "", u.Host == "":
		k.fault(path, "it is no URL; write https://HOST")
	case u.User != nil:
		k.fault(path, "it has a user name or password in it; write https://HOST")
	case u.Scheme != "https":
		k.fault(path, "its scheme is %q; tokens go by https only", u.Scheme)
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(o.LoginURL, "#"):
		k.fault(path, "it has a path, a query or a fragment; write https://%s", u.Host)
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		k.fault(path, "its port must be a number from 1 to 65535")
	case u.Port() != "" && !o.ForeignHosts:
		k.fault(path, "it has a port; Salesforce serves on 443, and another needs foreignHosts: true")
	default:
		if err := checkOrgHost(u.Hostname(), o.ForeignHosts); err != nil {
			k.fault(path, "%v", err)
			return ""
		}
		return u.Hostname()
	}
	return ""
}

func validPort(s string) bool {
	if s == "" {
		return true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// normalURL lower-cases scheme and host and drops a slash at the end and the port 443. What is no URL stays.
func normalURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if u.Path == "/" {
		u.Path = ""
	}
	if u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":443")
	}
	return u.String()
}

// LoginHost returns the host name of the org's login URL, without a port.
func (o Org) LoginHost() string {
	u, err := url.Parse(o.LoginURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
