package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is the kind of a [Listener].
type Kind string

// Kinds of listeners.
const (
	KindPlain Kind = "plain" // The proxy over TCP.
	KindTLS   Kind = "https" // The proxy over TLS.
	KindUnix  Kind = "unix"  // The proxy on a Unix socket.
)

// Listener is one place where the proxy listens.
type Listener struct {
	Kind    Kind
	Address string // HOST:PORT, or the absolute path of a socket.
}

// Loopback reports whether only this machine can reach the listener.
func (l Listener) Loopback() bool { return l.Kind == KindUnix || Address(l.Address).Loopback() }

// String returns the listener as it is configured.
func (l Listener) String() string {
	switch l.Kind {
	case KindPlain:
	case KindTLS:
		return "https://" + l.Address
	case KindUnix:
		return "unix:" + l.Address
	}
	return l.Address
}

// Listeners is a comma-separated list.
type Listeners []Listener

// UnmarshalText reads the list.
func (l *Listeners) UnmarshalText(b []byte) error {
	return readList(b, (*[]Listener)(l), func(s string) (Listener, error) {
		if path, ok := strings.CutPrefix(s, "unix:"); ok {
			if !filepath.IsAbs(path) {
				return Listener{}, fmt.Errorf("%q: the path of a socket must be absolute", s)
			}
			return Listener{KindUnix, filepath.Clean(path)}, nil
		}
		kind := KindPlain
		addr, ok := strings.CutPrefix(s, "https://")
		if ok {
			kind, addr = KindTLS, strings.TrimSuffix(addr, "/")
		}
		if strings.Contains(addr, "/") {
			return Listener{}, fmt.Errorf("%q is none of HOST:PORT, https://HOST:PORT and unix:PATH", s)
		}
		var a Address
		if err := a.UnmarshalText([]byte(addr)); err != nil {
			return Listener{}, err
		}
		return Listener{kind, string(a)}, nil
	})
}

// Address is HOST:PORT to listen on. Port 0 takes a free one.
type Address string

// UnmarshalText reads HOST:PORT, with the port as a number.
func (a *Address) UnmarshalText(b []byte) error {
	host, port, err := net.SplitHostPort(string(b))
	if err != nil {
		return fmt.Errorf("%q is no HOST:PORT", b)
	}
	if err := checkPort(port, 0); err != nil {
		return fmt.Errorf("%q: %w", b, err)
	}
	if strings.ContainsAny(host, "/@ ") {
		return fmt.Errorf("%q is no HOST:PORT", b)
	}
	*a = Address(b)
	return nil
}

// Loopback reports whether only this machine can reach the address. A name other than localhost, and no host at all,
// are not loopback.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func checkPort(s string, lowest uint64) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if errors.Is(err, strconv.ErrRange) || err == nil && n < lowest {
		return fmt.Errorf("the port %s is not in %d to 65535", s, lowest)
	}
	if err != nil {
		return fmt.Errorf("the port must be a number from %d to 65535", lowest)
	}
	return nil
}

// readList reads a comma-separated list; all that is wrong in it is joined. Spaces around an item don't count; an item
// must not be empty and must not stand twice.
func readList[T comparable](b []byte, list *[]T, read func(string) (T, error)) error {
	var errs []error
	seen := map[T]bool{}
	*list = nil
	for s := range strings.SplitSeq(string(b), ",") {
		s = strings.TrimSpace(s)
		if s == "" {
			errs = append(errs, errors.New("an item of the list is empty"))
			continue
		}
		v, err := read(s)
		if err == nil && seen[v] {
			err = fmt.Errorf("%q stands twice", s)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		seen[v] = true
		*list = append(*list, v)
	}
	return errors.Join(errs...)
}
