package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files that trust builds.
const (
	trustCA     = "sallyport-ca.pem"
	trustBundle = "bundle.pem"
	trustJava   = "truststore.p12"
)

type trustCmd struct {
	Runtime string `required:"" enum:"node,python,java,go,dotnet,curl" placeholder:"NAME" help:"Whose trust: ${enum}."`
	CA      string `name:"ca" default:"sallyport-ca.pem" placeholder:"FILE" help:"The CA's file (${default}). Where there is none, the server is asked."`
	Out     string `default:"sallyport-trust" placeholder:"DIR" help:"Where the files are built (${default})."`
	Force   bool   `help:"Overwrite files in DIR that another hand made or changed."`
}

// Run builds what the runtime needs, and prints what to set. Nothing is printed on stdout unless every file is there.
func (c *trustCmd) Run(ctx context.Context, st *streams) error {
	now := time.Now()
	ca, err := c.authorities(ctx, st, now)
	if err != nil {
		return err
	}
	roots, err := c.publicRoots(st, ca)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	files := []trustFile{{trustCA, pemText(ca)}, {trustBundle, bundleOf(ca, roots)}}
	if c.Runtime == runtimeJava {
		store, err := javaStore(ca, roots.certs)
		if err != nil {
			return fmt.Errorf("the trust store couldn't be made: %w", err)
		}
		files = append(files, trustFile{trustJava, store})
	}
	if err := writeTrust(out, files, c.Force); err != nil {
		return err
	}
	_, err = fmt.Fprint(st.out, trustText(c.Runtime, out, len(ca), roots))
	return err
}

// authorities are the CA's certificates, from the file or, where there is none, from the server.
func (c *trustCmd) authorities(ctx context.Context, st *streams, now time.Time) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(c.CA)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		server, err := st.server()
		if err != nil {
			return nil, err
		}
		if b, err = server.CA(ctx); err != nil {
			return nil, fmt.Errorf("there is no %s, and the server gave no CA: %w; where the server is reachable, run sallyport ca export > %s", c.CA, err, c.CA)
		}
		fmt.Fprintf(st.err, "There is no %s: the server gave the CA.\n", c.CA)
	case err != nil:
		return nil, fmt.Errorf("--ca: %w", err)
	}
	ca, err := parseCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("--ca: %s: %w", c.CA, err)
	}
	for _, cert := range ca {
		switch {
		case !cert.IsCA:
			return nil, fmt.Errorf("--ca: %s: %s is no CA: give what sallyport ca export printed", c.CA, cert.Subject)
		case now.After(cert.NotAfter):
			return nil, fmt.Errorf("--ca: %s: %s has ended on %s: run sallyport ca export > %s again", c.CA, cert.Subject, cert.NotAfter.UTC().Format(time.DateOnly), c.CA)
		case len(cert.PermittedDNSDomains) == 0:
			fmt.Fprintf(st.err, "%s isn't constrained to any domain: whoever has its key can pose as any host to those who trust it.\n", cert.Subject)
		}
	}
	return ca, nil
}

// publicRoots are the system's, and it is said where they are from.
func (c *trustCmd) publicRoots(st *streams, ca []*x509.Certificate) (systemRoots, error) {
	var own []string
	for _, name := range []string{trustCA, trustBundle} {
		own = append(own, filepath.Join(c.Out, name))
	}
	roots, err := findRoots(st.getenv("SSL_CERT_FILE"), usualRoots, ca, own)
	for _, passed := range roots.passedOver {
		fmt.Fprintln(st.err, passed)
	}
	if err != nil {
		return roots, err
	}
	fmt.Fprintf(st.err, "%d public roots are from %s.\n", len(roots.certs), roots.file)
	if roots.unreadable > 0 {
		fmt.Fprintf(st.err, "%d certificates in it can't be read and were left out.\n", roots.unreadable)
	}
	return roots, nil
}
