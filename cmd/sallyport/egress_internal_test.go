package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egressplan"
	"github.com/sallyport/sallyport/internal/lab"
)

// heard keeps what serve says.
type heard struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (s *heard) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *heard) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// egressLab is a real serve that leaves by several loopback addresses, with an echo.
type egressLab struct {
	*lab.Lab
	log heard
}

// startEgress starts one in dir; env is added to serve's.
func startEgress(dir string, env []string) (l *egressLab, stop func(), err error) {
	echo := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = err.Error()
		}
		io.WriteString(w, host+"\n")
	}))
	binary, err := exec.LookPath("sallyport")
	if err != nil {
		echo.Close()
		return nil, nil, err
	}
	l = &egressLab{}
	l.Lab, err = lab.New(lab.Options{Binary: binary, Dir: dir, Orgs: []string{"acme"}, Session: time.Hour, Stderr: &l.log, Env: append([]string{
		"SALLYPORT_EGRESS_ECHO_URL=" + echo.URL + "/?key=TOPSECRET", "SALLYPORT_ALLOW_ADDRESSES=127.0.0.0/8"}, env...)})
	if err != nil {
		echo.Close()
		return nil, nil, err
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = l.Close(ctx) // a test that failed says more
		echo.Close()
	}
	f, err := os.OpenFile(filepath.Join(dir, "salesforce-ca.pem"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: echo.Certificate().Raw}), f.Close())
	}
	if err == nil {
		err = l.Start(context.Background())
	}
	if err != nil {
		stop()
	}
	return l, stop, err
}

// stranger exchanges another refresh token of acme's user from an address that isn't sallyport's.
func (l *egressLab) stranger(address string) error {
	g, err := l.Sim.Authorize(lab.ClientID, lab.Host("acme"), "")
	if err != nil {
		return err
	}
	c := &http.Client{Transport: l.Sim.Transport(address + ":4711")}
	resp, err := c.PostForm("https://"+lab.Host("acme")+"/services/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken},
		"client_id": {lab.ClientID}, "client_secret": {lab.ClientSecret}})
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

// tells is what the admin listener answers at path, and what serve said.
func (l *egressLab) tells(path string) (string, error) {
	if path == "log" {
		return l.log.String(), nil
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+l.Admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// TestEgressScripts runs the manual of sallyport egress against a real serve. The command serve starts it, stranger has
// somebody else use the app, sessiondies ends the org's access tokens at Salesforce, and tells looks at the admin listener's paths and at the log.
func TestEgressScripts(t *testing.T) {
	var labs sync.Map // *testscript.TestScript → *egressLab
	of := func(ts *testscript.TestScript) *egressLab {
		l, ok := labs.Load(ts)
		if !ok {
			ts.Fatalf("serve comes first")
		}
		return l.(*egressLab)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "egress"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": func(ts *testscript.TestScript, _ bool, env []string) {
				dir := ts.MkAbs("lab")
				ts.Check(os.Mkdir(dir, 0o700))
				l, stop, err := startEgress(dir, env)
				ts.Check(err)
				ts.Defer(stop)
				labs.Store(ts, l)
				ts.Setenv("SALLYPORT_STATE_DIR", l.StateDir())
			},
			"stranger": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).stranger(args[0])) },
			"sessiondies": func(ts *testscript.TestScript, _ bool, _ []string) {
				l := of(ts)
				if l.Sim.KillGrantAccess(l.Grants["acme"].ID) == 0 {
					ts.Fatalf("no session lived")
				}
			},
			"tells": func(ts *testscript.TestScript, neg bool, args []string) {
				text, err := of(ts).tells(args[0])
				ts.Check(err)
				if strings.Contains(text, args[1]) == neg {
					ts.Fatalf("%s tells:\n%s", args[0], text)
				}
			},
		},
	})
}

func TestTheNextLookIsADayAfterTheLast(t *testing.T) {
	now := fakeNow
	for name, c := range map[string]struct {
		ago, since time.Duration // before now; ago zero: never
		due        bool
	}{
		"never looked":             {0, 24 * time.Hour, true},
		"looked an hour ago":       {time.Hour, time.Hour, false},
		"looked a day ago":         {24 * time.Hour, 25 * time.Hour, true},
		"away for a month":         {30 * 24 * time.Hour, 7 * 24 * time.Hour, true},
		"the clock went back":      {-time.Hour, 24 * time.Hour, true},
		"a minute less than a day": {24*time.Hour - time.Minute, 24*time.Hour - time.Minute, false},
	} {
		last := now.Add(-c.ago)
		if c.ago == 0 {
			last = time.Time{}
		}
		if since, due := nextLook(last, now); due != c.due || !since.Equal(now.Add(-c.since)) {
			t.Errorf("%s: due %v since %v", name, due, now.Sub(since))
		}
	}
}

func TestPlanRestsOnWhatIsKnown(t *testing.T) {
	source := func(name, public string) admin.EgressSource { return admin.EgressSource{Source: name, Public: public} }
	used := func(address, replica string, ago time.Duration) admin.EgressUse {
		return admin.EgressUse{Address: address, Replica: replica, At: fakeNow.Add(-ago)}
	}
	for _, c := range []struct {
		name    string
		sources []admin.EgressSource
		used    []admin.EgressUse
		inUse   string
		open    bool
		bound   bool
	}{
		{name: "own addresses that an echo confirms", sources: []admin.EgressSource{source("203.0.113.7", "203.0.113.7")}, inUse: "203.0.113.7", bound: true},
		{name: "a NAT", sources: []admin.EgressSource{source("10.0.0.5", "203.0.113.7")}, inUse: "203.0.113.7"},
		{name: "the kernel's choice", sources: []admin.EgressSource{source("any", "203.0.113.7")}, inUse: "203.0.113.7"},
		{name: "a public address without an echo", sources: []admin.EgressSource{source("203.0.113.7", "")}, inUse: "203.0.113.7", bound: true},
		{name: "a private one without an echo", sources: []admin.EgressSource{source("10.0.0.5", "")}, open: true},
		{name: "the kernel's choice without an echo", sources: []admin.EgressSource{source("any", "")}, open: true},
		{name: "another replica's address", sources: []admin.EgressSource{source("any", "203.0.113.7")}, used: []admin.EgressUse{used("203.0.113.8", "r2", time.Hour)}, inUse: "203.0.113.7-203.0.113.8"},
		{name: "what another used days ago", sources: []admin.EgressSource{source("any", "203.0.113.7")}, used: []admin.EgressUse{used("203.0.113.8", "r2", 48*time.Hour)}, inUse: "203.0.113.7"},
		{name: "what this one used before", sources: []admin.EgressSource{source("any", "203.0.113.7")}, used: []admin.EgressUse{used("203.0.113.8", "r1", time.Hour)}, inUse: "203.0.113.7"},
		{name: "another's private address", sources: []admin.EgressSource{source("any", "203.0.113.7")}, used: []admin.EgressUse{used("10.0.0.8", "r2", time.Hour)}, inUse: "203.0.113.7"},
	} {
		rep := admin.EgressReport{EgressWays: admin.EgressWays{Replica: "r1", Sources: c.sources}, Time: fakeNow,
			Orgs: []admin.EgressOrg{{Name: "acme", Source: c.sources[0].Source, Used: c.used}, {Name: "globex", Source: c.sources[0].Source}}}
		target, err := egressplan.ParseAll("198.51.100.7")
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan(rep, []string{"globex"}, nil, target)
		if err != nil || p.InUse.String() != c.inUse || (len(p.Open) > 0) != c.open {
			t.Errorf("%s: in use %v, open %v, %v", c.name, p.InUse, p.Open, err)
		}
		var steps bytes.Buffer
		if err := p.tell(&steps); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(steps.String(), "org acme, egress: "+c.sources[0].Source) != c.bound || !strings.Contains(steps.String(), "grant refresh globex") {
			t.Errorf("%s: the steps are\n%s", c.name, &steps)
		}
	}
}

// TestWatchFollowsAndTellsEachStrangerOnce asks a server that knows one more stranger each time, and can't be asked once.
func TestWatchFollowsAndTellsEachStrangerOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	asked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orgs", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"orgs":[{"name":"acme","grant":{}},{"name":"globex","grant":null},{"name":"old","grant":{},"disabled":true}]}`)
	})
	mux.HandleFunc("GET /v1/orgs/acme/logins", func(w http.ResponseWriter, _ *http.Request) {
		asked++
		var logins []string
		for i := range asked {
			logins = append(logins, fmt.Sprintf(`{"id":"0Ya%d","time":"2026-05-11T12:00:00Z","sourceIp":"198.51.100.%d","stranger":true}`, i, i))
		}
		if asked == 2 {
			w.WriteHeader(http.StatusBadGateway)
		}
		if asked == 4 {
			cancel()
		}
		io.WriteString(w, `{"org":"acme","logins":[`+strings.Join(logins, ",")+`]}`)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	var out, told bytes.Buffer
	cmd := egressWatchCmd{Since: time.Hour, Follow: true, Every: 10 * time.Millisecond, Output: "table"}
	err := cmd.Run(ctx, &streams{out: &out, err: &told, environ: []string{"SALLYPORT_ADMIN_URL=" + srv.URL}})
	if !errors.Is(err, errTold) {
		t.Errorf("the end is %v, want exit code 1", err)
	}
	for i := range 3 {
		if n := strings.Count(out.String(), fmt.Sprintf("198.51.100.%d ", i)); n != 1 {
			t.Errorf("stranger %d is told %d times:\n%s", i, n, &out)
		}
	}
	if strings.Count(out.String(), "STRANGER") != 1 || !strings.Contains(told.String(), "sallyport: org acme: ") {
		t.Errorf("out %s err %s", &out, &told)
	}
}

// metas is a metaStore.
type metas map[string][]byte

func (m metas) Meta(_ context.Context, key string) ([]byte, error) { return m[key], nil }
func (m metas) MetaOnce(_ context.Context, key string, v []byte) ([]byte, error) {
	if m[key] == nil {
		m[key] = v
	}
	return m[key], nil
}
func (m metas) SetMeta(_ context.Context, key string, v []byte) error { m[key] = v; return nil }

func TestReplicasShareTheDailyLook(t *testing.T) {
	shared := metas{}
	one, other := &egressDesk{store: shared}, &egressDesk{store: shared}
	looks := 0
	for hour := range 72 {
		for _, d := range []*egressDesk{one, other} {
			_, due, err := d.claimLook(t.Context(), "acme", fakeNow.Add(time.Duration(hour)*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if due {
				looks++
			}
		}
	}
	if looks != 3 {
		t.Errorf("%d looks in three days", looks)
	}
}

func TestReadLoginsRefusesWhatIsNoPage(t *testing.T) {
	for _, body := range []string{`[{"errorCode":"X"}]`, `{}`, ``, `{"records":[{"Id":"0Ya","LoginTime":"yesterday"}]}`} {
		if rows, err := readLogins([]byte(body)); err == nil {
			t.Errorf("%s is read as %v", body, rows)
		}
	}
	rows, err := readLogins([]byte(`{"records":[{"Id":"0Ya1","LoginTime":"2026-05-11T14:00:00.000+0200","SourceIp":"203.0.113.7","Application":null}]}`))
	if err != nil || len(rows) != 1 || !rows[0].Time.Equal(fakeNow) || rows[0].SourceIP != "203.0.113.7" {
		t.Errorf("%+v, %v", rows, err)
	}
}
