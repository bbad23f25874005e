package lab_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/sfsim"
)

var (
	idleOrgs = flag.Int("orgs", 50, "how many orgs TestIdleOrgsCostNextToNothing has: its promise is for 10000")
	idleFor  = flag.Duration("idle", 3*time.Second, "how long TestIdleOrgsCostNextToNothing watches")
)

// To look after idle orgs, their heartbeats and the ends of their access tokens,
// costs under a hundredth of a core, and under 200 MB however many they are up to
// 10,000.
func TestIdleOrgsCostNextToNothing(t *testing.T) {
	const host = "crowd.my.salesforce.com"
	dir := t.TempDir()
	l, err := lab.New(lab.Options{Binary: binary, Dir: dir, Orgs: []string{"acme"}, Session: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	crowd := sfsim.Org{Host: host}
	for i := range *idleOrgs {
		crowd.Users = append(crowd.Users, sfsim.User{Username: fmt.Sprintf("user%d@example.com", i)})
	}
	if _, err := l.Sim.AddOrg(crowd); err != nil {
		t.Fatal(err)
	}
	var orgs strings.Builder
	for i := range *idleOrgs {
		fmt.Fprintf(&orgs, "  - {name: o%d, app: lab, loginUrl: 'https://%s', grant: refresh_token, sessionTimeout: 2h}\n", i, host)
	}
	resources := "apps:\n  - {name: lab, clientId: '" + lab.ClientID + "', clientSecret: env:LAB_CLIENT_SECRET}\norgs:\n" + orgs.String() +
		"clients:\n  - {name: " + lab.Client + ", secret: env:LAB_PROXY_SECRET, orgs: [o0]}\n"
	if err := os.WriteFile(filepath.Join(dir, "resources.yaml"), []byte(resources), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Env = append(l.Env, "SALLYPORT_RESOLVE="+host+":443="+l.SalesforceAddr())
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var each errgroup.Group
	each.SetLimit(16)
	began := time.Now()
	for i := range *idleOrgs {
		each.Go(func() error {
			g, err := l.Sim.Authorize(lab.ClientID, host, crowd.Users[i].Username)
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]string{"refreshToken": g.RefreshToken})
			if err != nil {
				return err
			}
			org := "/v1/orgs/o" + strconv.Itoa(i)
			if status, said, err := l.AdminCall(t.Context(), http.MethodPut, org+"/grant", body); err != nil || status >= 300 {
				return fmt.Errorf("enrol %s: %d %s %w", org, status, said, err)
			}
			if status, said, err := l.AdminCall(t.Context(), http.MethodPost, org+"/refresh?wait=60s", nil); err != nil || status != http.StatusOK {
				return fmt.Errorf("refresh %s: %d %s %w", org, status, said, err)
			}
			return nil
		})
	}
	if err := each.Wait(); err != nil {
		t.Fatal(err)
	}
	filled := time.Since(began)
	<-time.After(2 * time.Second) // what was begun ends
	before := cpuTime(t, l.Pid())
	<-time.After(*idleFor)
	used := cpuTime(t, l.Pid()) - before
	share, mb := used.Seconds()/idleFor.Seconds(), residentMB(t, l.Pid())
	t.Logf("%d orgs, enrolled and exchanged in %v: %.2f %% of a core over %v, %d MB resident", *idleOrgs, filled.Round(time.Second), 100*share, *idleFor, mb)
	if share >= 0.01 {
		t.Errorf("%.2f %% of a core, want under 1 %%", 100*share)
	}
	if mb >= 200 {
		t.Errorf("%d MB, want under 200", mb)
	}
}

// cpuTime is what a process has used of the processors (proc(5): clock ticks of
// 10 ms).
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func residentMB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}
