//go:build live

package guides_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// place is what a guide takes for granted.
type place struct {
	hosts []string // the machines that serve, the first is where the reader sits
	redis bool     // there is a Redis
	alone bool     // they don't use it yet
	orgs  []string
	env   []string
}

// short are waits that nobody who follows a guide by machine can spare.
var short = []string{"SALLYPORT_EXCHANGE_TIMEOUT=2s", "SALLYPORT_TAKEOVER_AFTER=4s", "SALLYPORT_SETTLING_TIME=4s", "SALLYPORT_IN_DOUBT_PAUSE=1s"}

var places = map[string]place{
	"moving-addresses.md": {env: []string{"SALLYPORT_EGRESS_SOURCE_IPS=127.0.0.11", "SALLYPORT_EGRESS_ALLOWED=127.0.0.11",
		"SALLYPORT_EGRESS_ECHO_URL=https://echo.example.com/ip"}, orgs: []string{"acme", "globex"}},
	"backup-and-restore.md": {redis: true, alone: true},
	"redis.md":              {redis: true},
	"sizing.md":             {redis: true},
	"upgrades.md":           {redis: true, hosts: []string{"a", "b"}},
}

// TestEachGuideIsFollowed runs every sh block of every guide, in order, in one
// shell, and holds the block of output below it against what was said: each of
// its lines must come, in this order, with … for anything. A command whose line
// ends in a comment with "exit code N" must end so, all others with 0. What a
// comment <!-- lab: … --> holds is run too: what Salesforce, or time, does
// meanwhile. A block below <!-- not here: why --> isn't run.
func TestEachGuideIsFollowed(t *testing.T) {
	for _, f := range guides(t) {
		t.Run(f, func(t *testing.T) {
			p := places[f]
			if p.hosts == nil {
				p.hosts = []string{"a"}
			}
			if p.orgs == nil {
				p.orgs = []string{"acme"}
			}
			follow(t, f, p)
		})
	}
}

// piece is a part of a guide that does or tells something.
type piece struct {
	kind, text string // "sh", "lab" or "said"
	line       int
}

var pieces = regexp.MustCompile("(?s)<!-- (lab|not here): (.*?) -->|```(\\w*)\n(.*?)```")

func parse(text string) (all []piece) {
	skip := false
	for _, m := range pieces.FindAllStringSubmatchIndex(text, -1) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		line := 1 + strings.Count(text[:m[0]], "\n")
		switch {
		case part(1) == "lab":
			all = append(all, piece{"lab", part(2), line})
		case part(1) == "not here":
			skip = true
			continue
		case part(3) == "sh" && !skip:
			all = append(all, piece{"sh", part(4), line})
		case part(3) == "" && !skip && len(all) > 0 && all[len(all)-1].kind == "sh":
			all = append(all, piece{"said", part(4), line})
			continue
		case part(3) == "" && skip:
			continue
		}
		skip = false
	}
	return all
}

func follow(t *testing.T, file string, p place) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var redis *redistest.Server
	env := append([]string{}, short...)
	if p.redis {
		redis = redistest.Start(t, redistest.Options{AppendOnly: true, MaxMemory: "64mb"})
	}
	echo := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, from)
	}))
	echo.StartTLS()
	t.Cleanup(echo.Close)
	first := filepath.Join(dir, p.hosts[0])
	if err := os.Mkdir(first, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Options{Binary: path, Dir: first, Orgs: p.orgs, Session: time.Hour, Env: append(env, p.env...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	err = l.Sim.UpdateApp(lab.ClientID, func(a *sfsim.App) {
		a.RedirectURIs = append(a.RedirectURIs, "https://login.salesforce.com/services/oauth2/success")
		if strings.Contains(strings.Join(p.env, " "), "SOURCE_IPS") {
			a.Allowlist = ranges(t, "127.0.0.11")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(first, "salesforce-ca.pem")
	certs := append(l.Sim.CAPEM(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: echo.Certificate().Raw})...)
	if err := os.WriteFile(roots, certs, 0o600); err != nil {
		t.Fatal(err)
	}
	replacements := []string{"198.51.100.", "127.0.0.", "/etc/sallyport/sallyport.env", "$ENV_FILE", "/var/lib/sallyport", "$SALLYPORT_STATE_DIR", "/root/", "$LAB/",
		"127.0.0.1:3128", l.Proxy, "0.0.0.0:3128", "0.0.0.0" + l.Proxy[strings.Index(l.Proxy, ":"):], "127.0.0.1:3129", l.Admin}
	if redis != nil {
		replacements = append(replacements, "127.0.0.1:6379", redis.Addr())
	}
	for i, h := range p.hosts {
		member := l
		if i > 0 {
			if err := os.Mkdir(filepath.Join(dir, h), 0o700); err != nil {
				t.Fatal(err)
			}
			if member, err = l.Peer(filepath.Join(dir, h)); err != nil {
				t.Fatal(err)
			}
		}
		var settings strings.Builder
		for _, e := range member.Env {
			switch {
			case strings.HasPrefix(e, "PATH="): // a service's file has none, and a command takes the shell's
				continue
			case strings.HasPrefix(e, "SALLYPORT_RESOLVE="):
				e += ",api.example.com:443=" + echo.Listener.Addr().String() + ",echo.example.com:443=" + echo.Listener.Addr().String()
			case strings.HasPrefix(e, "SALLYPORT_APPLY="):
				e = "SALLYPORT_APPLY=" + filepath.Join(first, "resources.yaml")
			case strings.HasPrefix(e, "SALLYPORT_UPSTREAM_CA_FILE="):
				e = "SALLYPORT_UPSTREAM_CA_FILE=" + roots
			}
			fmt.Fprintln(&settings, e)
		}
		if redis != nil && !p.alone {
			fmt.Fprintf(&settings, "SALLYPORT_STORE=%s\nSALLYPORT_KEYSET=%s/keyset.json\nSALLYPORT_ADMIN_TOKEN=admin-token-of-no-worth\n", redis.URL(), dir)
		}
		if err := os.WriteFile(filepath.Join(dir, h, "sallyport.env"), []byte(settings.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := salesforce(l, redis, r.URL.Query()["do"]); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(control.Close)
	t.Cleanup(func() { killAll(dir) })

	all := parse(read(t, file))
	forth := strings.NewReplacer(replacements...)
	var script strings.Builder
	script.WriteString(prelude)
	for i, x := range all {
		if x.kind == "said" {
			continue
		}
		fmt.Fprintf(&script, "exec >%q 2>&1\n%s\n", filepath.Join(dir, "out."+strconv.Itoa(i)), forth.Replace(x.text))
	}
	script.WriteString("exec >\"$LAB/end\" 2>&1\n")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-s")
	cmd.Dir = first
	cmd.Stdin = strings.NewReader(script.String())
	url, addr := "", ""
	if redis != nil {
		url, addr = redis.URL(), redis.Addr()
	}
	cmd.Env = append(os.Environ(), "LAB="+dir, "BINARY="+path, "CONTROL="+control.URL, "SALESFORCE="+l.SalesforceAddr(), "SALESFORCE_CA="+roots, "OTHER="+echo.Listener.Addr().String(),
		"HOSTS="+strings.Join(p.hosts, " "), "REDIS_URL="+url, "REDIS_ADDR="+addr, "LAB_PROXY="+l.Proxy, "SALLYPORT_STATE_DIR="+l.StateDir(), "HOME="+dir,
		"LAB_CLIENT_SECRET="+lab.ClientSecret, "LAB_PROXY_SECRET="+l.Secret)
	for _, e := range l.Env {
		if strings.HasPrefix(e, "LAB_SEED_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	stuck, err := cmd.CombinedOutput()
	if err != nil || len(stuck) > 0 {
		t.Errorf("the shell: %v\n%s", err, stuck)
	}
	back := strings.NewReplacer(l.StateDir(), "/var/lib/sallyport", first+"/sallyport.env", "/etc/sallyport/sallyport.env", l.Proxy, "127.0.0.1:3128",
		l.Admin, "127.0.0.1:3129", "127.0.0.11", "198.51.100.11", "127.0.0.14", "198.51.100.14")
	if redis != nil {
		back = strings.NewReplacer(redis.Addr(), "127.0.0.1:6379", l.StateDir(), "/var/lib/sallyport", l.Proxy, "127.0.0.1:3128", l.Admin, "127.0.0.1:3129")
	}
	for i, x := range all {
		if x.kind == "said" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "out."+strconv.Itoa(i)))
		if err != nil {
			t.Fatalf("%s:%d was never reached", file, x.line)
		}
		out := back.Replace(string(b))
		t.Logf("%s:%d\n%s%s", file, x.line, x.text, out)
		judge(t, file, x, out)
		if i+1 < len(all) && all[i+1].kind == "said" {
			expect(t, file, all[i+1], out)
		}
	}
	if led := l.Sim.Ledger(); led.Replays != 0 {
		t.Errorf("whoever follows %s sends %d tokens twice", file, led.Replays)
	}
}

var (
	failed   = regexp.MustCompile(`(?m)^\[exit (\d+)\] (.*)$`)
	foretold = regexp.MustCompile(`# .*exit code (\d+)`)
)

// judge holds the exit codes of a block against those that it foretells.
func judge(t *testing.T, file string, x piece, out string) {
	t.Helper()
	got, want := failed.FindAllStringSubmatch(out, -1), foretold.FindAllStringSubmatch(x.text, -1)
	for i, g := range got {
		if i >= len(want) || want[i][1] != g[1] {
			t.Errorf("%s:%d: exit code %s of %s", file, x.line, g[1], g[2])
		}
	}
	if len(got) < len(want) {
		t.Errorf("%s:%d: %d commands failed, and %d should have", file, x.line, len(got), len(want))
	}
}

// expect holds what was said against what a guide shows.
func expect(t *testing.T, file string, x piece, out string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	at := 0
	for want := range strings.Lines(x.text) {
		want = strings.Join(strings.Fields(want), " ")
		if want == "" || want == "…" {
			continue
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
		found := false
		for ; at < len(lines) && !found; at++ {
			found = re.MatchString(lines[at])
		}
		if !found {
			t.Errorf("%s:%d shows what wasn't said here: %s", file, x.line, want)
			return
		}
	}
}

// salesforce does what the other side does meanwhile.
func salesforce(l *lab.Lab, redis *redistest.Server, do []string) error {
	switch do[0] {
	case "allows":
		return l.Sim.UpdateApp(lab.ClientID, func(a *sfsim.App) {
			a.Allowlist = nil
			for _, one := range strings.Split(do[1], ",") {
				ip := netip.MustParseAddr(one)
				a.Allowlist = append(a.Allowlist, sfsim.IPRange{From: ip, To: ip})
			}
		})
	case "revokes":
		return l.Sim.RevokeGrant(l.Grants[do[1]].ID)
	case "ends-sessions":
		l.Sim.KillGrantAccess(l.Grants[do[1]].ID)
	case "loses-the-answer":
		l.Sim.Inject(sfsim.LoseAnswer())
	case "secret":
		return l.Sim.UpdateApp(lab.ClientID, func(a *sfsim.App) { a.ClientSecret = do[1] })
	case "refuses-the-client":
		l.Sim.Inject(sfsim.InvalidClient())
	case "says-busy":
		l.Sim.Inject(sfsim.OAuthError("invalid_grant", "token request is already being processed"))
	case "redis-restarts":
		return redis.Restart()
	default:
		return fmt.Errorf("nobody knows how to do %v", do)
	}
	return nil
}

func ranges(t *testing.T, one string) []sfsim.IPRange {
	t.Helper()
	ip := netip.MustParseAddr(one)
	return []sfsim.IPRange{{From: ip, To: ip}}
}

// killAll ends what is left of the serves that a guide started.
func killAll(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "pid"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// prelude stands in for systemd, ssh, a person's browser and Salesforce's Setup.
// Every failing command leaves a line "[exit N] COMMAND".
const prelude = `
mkdir "$LAB/bin"
cp "$BINARY" "$LAB/bin/sallyport"
cat >"$LAB/bin/systemctl" <<'END'
#!/bin/bash
# systemctl VERB sallyport, for the machine whose directory is $MACHINE.
alive() { [[ -e $MACHINE/pid ]] && kill -0 "$(cat "$MACHINE/pid")" 2>/dev/null; }
stop() { alive || return 0; kill -TERM "$(cat "$MACHINE/pid")"; for _ in {1..600}; do alive || return 0; sleep 0.1; done; echo "it doesn't end" >&2; return 1; }
start() {
	alive && return 0
	mapfile -t env < <(grep -v '^#' "$ENV_FILE")
	env -i "${env[@]}" setsid "$LAB/bin/sallyport" serve >>"$MACHINE/log" 2>&1 </dev/null &
	echo $! >"$MACHINE/pid"
	for _ in {1..300}; do
		alive || { tail -3 "$MACHINE/log" >&2; return 1; }
		env "${env[@]}" "$LAB/bin/sallyport" healthcheck 2>/dev/null && return 0
		sleep 0.1
	done
	tail -3 "$MACHINE/log" >&2; return 1
}
case $1 in
start) start ;;
stop) stop ;;
restart) stop && start ;;
reload) kill -HUP "$(cat "$MACHINE/pid")" ;;
is-active) alive && echo active ;;
show) cat "$MACHINE/pid" ;;
*) echo "no $1 here" >&2; exit 2 ;;
esac
END
cat >"$LAB/bin/ssh" <<'END'
#!/bin/bash
export MACHINE=$LAB/$1; shift
export ENV_FILE=$MACHINE/sallyport.env SALLYPORT_STATE_DIR=$MACHINE/state
export "$(grep ^SALLYPORT_ADMIN_LISTEN= "$ENV_FILE")"
cd "$MACHINE" && exec bash -c "$*"
END
chmod +x "$LAB"/bin/*
export PATH=$LAB/bin:$PATH MACHINE=$LAB/${HOSTS%% *} ENV_FILE=$LAB/${HOSTS%% *}/sallyport.env
setting() { echo "$1" >>"$ENV_FILE"; }
salesforce() { local q=; for a; do q+="do=$a&"; done; curl -sS --fail-with-body "$CONTROL/?$q"; }
echo_call() { curl -s -o /dev/null -w '%{http_code}\n' --proxy "http://billing:$LAB_PROXY_SECRET@$LAB_PROXY" --cacert sallyport-ca.pem "https://$1.my.salesforce.com/services/data/v65.0/echo"; }
sallyport() {
	if [[ "$1 $2" != 'grant authorize' ]]; then command sallyport "$@"; return; fi
	local url to code
	coproc PERSON { command sallyport "$@" 2>&1; }
	local pid=$PERSON_PID out=${PERSON[0]} in=${PERSON[1]}
	while read -r -u "$out" url; do echo "$url"; [[ $url == https://* ]] && break; done
	to=$(curl -s -o /dev/null -w '%{redirect_url}' --cacert "$SALESFORCE_CA" --connect-to "::$SALESFORCE" "$url")
	echo "$to" >&"$in"
	cat <&"$out"
	wait "$pid"
}
trap 'echo "[exit $?] $BASH_COMMAND"' ERR
(umask 077; command sallyport keyset new >"$LAB/keyset.json" 2>/dev/null)
for h in $HOSTS; do ssh "$h" systemctl start sallyport; done
sallyport ca export >sallyport-ca.pem
export SALLYPORT_CLIENT_SECRET=$LAB_PROXY_SECRET
exec >"$LAB/out.start" 2>&1
`
