package clients_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// TestTheScriptsFitSalesforce is the control: the clients with a living access
// token, through a relay that only carries bytes. What fails here is not
// sallyport's fault.
func TestTheScriptsFitSalesforce(t *testing.T) {
	sim, err := sfsim.New(sfsim.Options{SessionTimeout: time.Hour})
	must(t, err)
	must(t, sim.AddApp(sfsim.App{ClientID: "key", ClientSecret: "secret", RTR: true}))
	_, err = sim.AddOrg(sfsim.Org{Host: host})
	must(t, err)
	grant, err := sim.Authorize("key", host, "")
	must(t, err)
	server, err := sim.Start("127.0.0.1:0")
	must(t, err)
	relay := startRelay(t, server.Addr())
	t.Cleanup(func() { server.Close() })

	s := &site{proxy: relay, user: "nobody", secret: "nothing", ca: filepath.Join(t.TempDir(), "ca.pem")}
	must(t, os.WriteFile(s.ca, sim.CAPEM(), 0o600))
	s.token, s.orgID = grant.AccessToken, grant.OrgID
	s.lay(t)
	var these []program
	for _, p := range chosen(t) {
		if !p.proxied {
			these = append(these, p)
		}
	}
	all := launch(t, these, []*site{s})
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline) && !each(all, 4); {
		<-tick.C
	}
	stop(t, all, []*site{s})
	for _, r := range all.all {
		bad := 0
		for _, v := range r.view() {
			if !v.OK {
				bad++
			}
		}
		if bad > 0 || len(r.view()) < 4 || r.err != nil {
			t.Errorf("%s: %d rounds, %d failed; it ended with %v%s", r.name, len(r.view()), bad, r.err, complaints(r))
		}
	}
	// jsforce puts its token into the identity URL.
	if err := sim.Ledger().Err(sfsim.TokenInURL); err != nil {
		t.Error(err)
	}
}

func each(l *launched, n int) bool {
	for _, r := range l.all {
		if len(r.view()) < n {
			return false
		}
	}
	return true
}

// startRelay is a proxy that carries every CONNECT to one address, until t ends.
func startRelay(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var open sync.Map
	h := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		up, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		down, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			up.Close()
			return
		}
		open.Store(up, down)
		io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { // ends with the connection
			io.Copy(up, buffered)
			up.Close()
		}()
		io.Copy(down, up)
		down.Close()
		up.Close()
		open.Delete(up)
	})}
	go h.Serve(l) // ends with the listener
	t.Cleanup(func() {
		h.Shutdown(context.Background())
		open.Range(func(up, down any) bool {
			up.(net.Conn).Close()
			down.(net.Conn).Close()
			return true
		})
	})
	return l.Addr().String()
}
