package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
)

// Keyset tells where the keyset is. Path is a file, or Variable names an environment variable whose value is Inline.
type Keyset struct {
	Path     string
	Variable string
	Inline   secret.Text // Filled in by [Load].
}

// IsZero reports whether no keyset is configured.
func (k Keyset) IsZero() bool { return k == Keyset{} }

// UnmarshalText reads a path or env:NAME. What looks like a keyset itself is refused without being quoted.
func (k *Keyset) UnmarshalText(b []byte) error {
	s := string(b)
	if strings.ContainsAny(s, "{\n\"") {
		return errors.New("it looks like a keyset; give the path of a file, or env:NAME with the name of a variable that holds it")
	}
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		if name == "" || strings.ContainsAny(name, "= ") {
			return errors.New("env: must be followed by the name of a variable")
		}
		*k = Keyset{Variable: name}
		return nil
	}
	*k = Keyset{Path: strings.TrimPrefix(s, "file:")}
	if k.Path == "" {
		return errors.New("the path is empty")
	}
	return nil
}

// StoreURL says where the shared store is; the zero value: the embedded one. It prints without its URL, which may hold
// a password.
type StoreURL struct {
	URL  secret.Text // empty where File names it
	File string      // that holds the URL
}

// IsZero reports whether the embedded store is meant.
func (u StoreURL) IsZero() bool { return u.File == "" && u.URL.IsZero() }

// CheckStoreURL reports what is wrong with a Redis URL. Its errors quote nothing of it.
func CheckStoreURL(s string) error {
	parsed, err := url.Parse(s)
	if err != nil || !storeSchemes[parsed.Scheme] || parsed.Host == "" {
		return errors.New("it is none of redis://, rediss://, the two with +sentinel or +cluster, and file:PATH; " +
			"leave it out for the embedded store")
	}
	return nil
}

var storeSchemes = map[string]bool{
	"redis": true, "rediss": true, "redis+sentinel": true, "rediss+sentinel": true, "redis+cluster": true, "rediss+cluster": true,
}

// UnmarshalText reads a Redis URL, or file:PATH with an absolute path. Its errors quote nothing of it.
func (u *StoreURL) UnmarshalText(b []byte) error {
	s := string(b)
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if !filepath.IsAbs(path) {
			return errors.New("file: must be followed by an absolute path")
		}
		*u = StoreURL{File: path}
		return nil
	}
	if err := CheckStoreURL(s); err != nil {
		return err
	}
	*u = StoreURL{URL: secret.NewText(s)}
	return nil
}

// ProxyURL is an upstream proxy. It prints without its user information.
type ProxyURL struct {
	Scheme   string // http or https.
	Host     string // HOST or HOST:PORT.
	User     string
	Password secret.Text
}

// IsZero reports whether there is no upstream proxy.
func (p ProxyURL) IsZero() bool { return p == ProxyURL{} }

// String returns the URL without user information.
func (p ProxyURL) String() string {
	if p.IsZero() {
		return ""
	}
	return p.Scheme + "://" + p.Host
}

// URL returns the URL with the password in clear, or nil when there is no proxy.
func (p ProxyURL) URL() *url.URL {
	if p.IsZero() {
		return nil
	}
	u := &url.URL{Scheme: p.Scheme, Host: p.Host}
	if p.User != "" || !p.Password.IsZero() {
		u.User = url.UserPassword(p.User, p.Password.Reveal())
	}
	return u
}

// UnmarshalText reads http:// or https:// with a host, an optional port and user information. Its errors quote nothing
// of it.
func (p *ProxyURL) UnmarshalText(b []byte) error {
	u, err := url.Parse(string(b))
	if err != nil {
		return errors.New("it is no URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("it is no http:// or https:// URL with a host")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("it has a path, a query or a fragment")
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port, 1); err != nil {
			return fmt.Errorf("%s://%s: %w", u.Scheme, u.Host, err)
		}
	}
	*p = ProxyURL{Scheme: u.Scheme, Host: u.Host}
	if u.User != nil {
		password, _ := u.User.Password()
		p.User, p.Password = u.User.Username(), secret.NewText(password)
	}
	return nil
}
