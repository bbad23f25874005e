package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

type caCmd struct {
	Show   caShowCmd   `cmd:"" help:"Describe the roots that clients must trust."`
	Export caExportCmd `cmd:"" help:"Print these roots as PEM: sallyport ca export > sallyport-ca.pem."`
	Rotate caRotateCmd `cmd:"" help:"Make the next CA, or switch to it."`
}

type caExportCmd struct{}

// Run prints the roots.
func (*caExportCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	b, err := server.CA(ctx)
	if err != nil {
		return err
	}
	_, err = st.out.Write(b)
	return err
}

type caShowCmd struct{ output }

type certificateView struct {
	Subject   string    `json:"subject"`
	SHA256    string    `json:"sha256"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Domains   []string  `json:"domains"`
}

// Run describes the roots.
func (c *caShowCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	b, err := server.CA(ctx)
	if err != nil {
		return err
	}
	return showCertificates(st, c.output, b)
}

func showCertificates(st *streams, o output, b []byte) error {
	certs, err := parseCertificates(b)
	if err != nil {
		return err
	}
	rows, views := [][]string{{"SUBJECT", "SHA-256", "VALID FROM", "VALID UNTIL", "DOMAINS"}}, []certificateView{}
	for _, cert := range certs {
		v := certificateView{cert.Subject.String(), fmt.Sprintf("%x", sha256.Sum256(cert.Raw)), cert.NotBefore.UTC(), cert.NotAfter.UTC(), cert.PermittedDNSDomains}
		views = append(views, v)
		rows = append(rows, []string{v.Subject, v.SHA256, v.NotBefore.Format(time.DateOnly), v.NotAfter.Format(time.DateOnly), dash(strings.Join(v.Domains, ","))})
	}
	return o.print(st.out, views, rows)
}

// parseCertificates reads every certificate of a PEM text, at least one.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate can't be read: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return all, nil
}

type caRotateCmd struct {
	Activate bool `help:"Switch to the CA that the last rotate made. Do it once every client trusts both roots."`
}

// Run rotates the CA.
func (c *caRotateCmd) Run(ctx context.Context, st *streams) error {
	server, err := st.server()
	if err != nil {
		return err
	}
	b, err := server.RotateCA(ctx, c.Activate)
	if err != nil {
		return err
	}
	if err := showCertificates(st, output{Output: "table"}, b); err != nil {
		return err
	}
	if c.Activate {
		fmt.Fprintln(st.err, "The next CA is in use. Clients need only this root from now on.")
		return nil
	}
	fmt.Fprintln(st.err, "Give both roots to every client (sallyport ca export), then run sallyport ca rotate --activate.")
	return nil
}
