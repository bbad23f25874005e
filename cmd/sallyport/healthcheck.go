package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/admin"
)

type healthcheckCmd struct {
	Timeout time.Duration `default:"5s" help:"How long to wait for the answer."`
}

// Run asks /healthz as the process beside serve in its container would. Its exit code is never 2, which Docker reserves.
func (c *healthcheckCmd) Run(ctx context.Context, st *streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := healthy(ctx, st); err != nil {
		fmt.Fprintln(st.err, "sallyport:", err)
		return errTold
	}
	return nil
}

func healthy(ctx context.Context, st *streams) error {
	listen := st.getenv("SALLYPORT_ADMIN_LISTEN")
	if listen == "" {
		listen = "127.0.0.1:3129"
	}
	var addr config.Address
	if err := addr.UnmarshalText([]byte(listen)); err != nil {
		return fmt.Errorf("SALLYPORT_ADMIN_LISTEN: %w", err)
	}
	o := admin.ClientOptions{URL: "http://" + dialable(listen)}
	if file := st.getenv("SALLYPORT_ADMIN_TLS_CERT"); file != "" {
		var err error
		if o.TLS, err = trustOwn(file); err != nil {
			return fmt.Errorf("SALLYPORT_ADMIN_TLS_CERT: %w", err)
		}
		o.URL = "https://" + dialable(listen)
	}
	c, err := admin.NewClient(o)
	if err != nil {
		return err
	}
	return c.Healthy(ctx)
}

// dialable turns the address of a listener on all interfaces into one that can be dialled.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// trustOwn trusts the very certificate that serve has, under its own name: whoever issued it, it is ours.
func trustOwn(file string) (*tls.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(b)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(certs[0])
	switch leaf := certs[0]; {
	case len(leaf.DNSNames) > 0:
		c.ServerName = strings.Replace(leaf.DNSNames[0], "*", "healthcheck", 1)
	case len(leaf.IPAddresses) > 0:
		c.ServerName = leaf.IPAddresses[0].String()
	}
	return c, nil
}
