// Command simulator is the simulated Salesforce of ../local.yaml: package sfsim
// behind TLS, with one app and a grant for each org. What a person would bring
// from Salesforce it writes into a directory: ca.pem, client-id, client-secret
// and, for each org, ORG-refresh-token. It keeps everything in memory, so its
// grants end with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// The app that every org knows. It guards nothing but simulated data.
const (
	clientID     = "3MVG9.simulator.client"
	clientSecret = "simulated-app-secret-of-no-worth"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "the address to serve TLS on")
	dir := flag.String("dir", ".", "where to write what clients of the API need")
	orgs := flag.String("orgs", "acme", "the names of the orgs, comma-separated: NAME.my.salesforce.com")
	session := flag.Duration("session", 2*time.Hour, "how long an access token lives without use")
	check := flag.Bool("check", false, "only see whether a simulator serves on the address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	var err error
	if *check {
		err = reach(ctx, *listen)
	} else {
		err = run(ctx, *listen, *dir, strings.Split(*orgs, ","), *session)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen, dir string, orgs []string, session time.Duration) error {
	sim, err := sfsim.New(sfsim.Options{SessionTimeout: session})
	if err != nil {
		return err
	}
	err = sim.AddApp(sfsim.App{ClientID: clientID, ClientSecret: clientSecret, RTR: true, PKCE: true, SecretRequiredForRefresh: true,
		RedirectURIs: []string{"http://127.0.0.1:1717/callback"}})
	if err != nil {
		return err
	}
	files := map[string]string{"ca.pem": string(sim.CAPEM()), "client-id": clientID, "client-secret": clientSecret}
	for _, name := range orgs {
		host := name + ".my.salesforce.com"
		if _, err := sim.AddOrg(sfsim.Org{Host: host}); err != nil {
			return err
		}
		grant, err := sim.Authorize(clientID, host, "")
		if err != nil {
			return err
		}
		files[name+"-refresh-token"] = grant.RefreshToken
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	server, err := sim.Start(listen) // the files are there before anybody finds it healthy
	if err != nil {
		return err
	}
	fmt.Printf("simulator: %s on %s\n", strings.Join(orgs, ", "), server.Addr())
	<-ctx.Done()
	return server.Close()
}

// reach reports whether something listens on the port of listen on this machine.
func reach(ctx context.Context, listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	return conn.Close()
}
