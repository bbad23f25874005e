package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/registry"
)

func load(t *testing.T, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(append([]string{"HOME=/home/sp"}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t)
	got := fmt.Sprintln(c.Listen, c.Plaintext, c.LocalCallers, c.AdminListen, c.StateDir, c.ReferenceDirs, c.LockTTL,
		c.ExchangeTimeout, c.TakeoverAfter, c.InDoubt, c.InDoubtPause, c.SettlingTime, c.MaxExchanges, c.RefreshAhead,
		c.HeartbeatAfter, c.TokenWait, c.UpstreamTimeout, len(c.PassthroughHosts), int64(c.MaxReplayBody), int64(c.MaxReplayMemory),
		c.MaxConnections, c.DrainTimeout, c.LogLevel, c.LogFormat, c.EgressEnforce)
	want := fmt.Sprintln([]string{"127.0.0.1:3128"}, "refuse", "", "127.0.0.1:3129", "/home/sp/.local/state/sallyport",
		[]string{"/run/secrets", "/etc/sallyport"}, "30s", "1m0s", "5m0s", "late", "20s", "6m0s", 60, 0.2, "600h0m0s", "30s", "11m0s", 0,
		int64(1<<20), int64(64<<20), 20000, "30s", "info", "", "exchanges")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !slices.Equal(c.CADomains, registry.SalesforceSuffixes()) || !c.Keyset.IsZero() || !c.EgressProxy.IsZero() {
		t.Errorf("got %v %v %v", c.CADomains, c.Keyset, c.EgressProxy)
	}
}

func TestValues(t *testing.T) {
	c := load(t, "XDG_STATE_HOME=/state",
		"SALLYPORT_LISTEN=127.0.0.1:3128, https://0.0.0.0:3443,unix:/run/sp.sock,[::1]:0,localhost:3130",
		"SALLYPORT_TLS_CERT=/c.pem", "SALLYPORT_TLS_KEY=/k.pem", "SALLYPORT_TLS_CLIENT_CA=ca.pem", "SALLYPORT_TLS_CLIENT_CRL=/root.crl, issuing.pem", "SALLYPORT_ADMIN_LISTEN=:3129", "SALLYPORT_ADMIN_TOKEN=t0ken",
		"SALLYPORT_KEYSET=env:SALLYPORT_MY_KEYS", "SALLYPORT_MY_KEYS={}", "SALLYPORT_APPLY=/etc/sp/sp.yaml",
		"SALLYPORT_PASSTHROUGH_HOSTS=*.example.com:8443,*", "SALLYPORT_PASSTHROUGH_SOURCE_IPS=192.0.2.1",
		"SALLYPORT_ALLOW_ADDRESSES=10.0.0.0/8,192.0.2.7", "SALLYPORT_RESOLVE=acme.my.salesforce.com:443=127.0.0.1:8443",
		"SALLYPORT_UPSTREAM_CA_FILE=/ca.pem", "SALLYPORT_EGRESS_SOURCE_IPS=192.0.2.1,2001:db8::1",
		"SALLYPORT_EGRESS_PROXY=http://u:p4ss@proxy.example:3128", "SALLYPORT_CA_DOMAINS=.salesforce.com,force.com",
		"SALLYPORT_MAX_REPLAY_BODY=512KiB", "SALLYPORT_HEARTBEAT_AFTER=1s", "SALLYPORT_LOG_FORMAT=text",
		"SALLYPORT_REDIS_CERT=", "SALLYPORT_STORE=")
	if got := fmt.Sprint(c.Listen); got != "[127.0.0.1:3128 https://0.0.0.0:3443 unix:/run/sp.sock [::1]:0 localhost:3130]" {
		t.Errorf("listeners %s", got)
	}
	for i, want := range []bool{true, false, true, true, true} {
		if c.Listen[i].Loopback() != want {
			t.Errorf("%v: loopback %v", c.Listen[i], !want)
		}
	}
	if c.AdminListen.Loopback() || c.StateDir != "/state/sallyport" || c.Keyset.Inline.Reveal() != "{}" {
		t.Errorf("got %+v", c)
	}
	if !slices.Equal(c.ReferenceDirs, []string{"/run/secrets", "/etc/sallyport", "/etc/sp"}) {
		t.Errorf("reference dirs %v", c.ReferenceDirs)
	}
	if c.TLSClientCA != "ca.pem" || !slices.Equal(c.TLSClientCRL, []string{"/root.crl", "issuing.pem"}) {
		t.Errorf("client certificates %q %q", c.TLSClientCA, c.TLSClientCRL)
	}
	m := c.Resolve[0]
	if m.Host != "acme.my.salesforce.com" || m.Port != 443 || m.To != netip.MustParseAddrPort("127.0.0.1:8443") {
		t.Errorf("resolve %v", c.Resolve)
	}
	if fmt.Sprint(c.AllowAddresses) != "[10.0.0.0/8 192.0.2.7/32]" || len(c.EgressSourceIPs) != 2 || c.MaxReplayBody != 512<<10 ||
		c.HeartbeatAfter.D() != time.Second || c.EgressProxy.URL().String() != "http://u:p4ss@proxy.example:3128" ||
		!slices.Equal(c.CADomains, []string{"salesforce.com", "force.com"}) {
		t.Errorf("got %+v", c)
	}
	if s := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(s, "p4ss") || strings.Contains(s, "t0ken") {
		t.Errorf("the configuration prints a secret: %s", s)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name     string
		environ  []string
		variable string
		says     string
	}{
		{"an unknown variable", []string{"SALLYPORT_LISTNE=x"}, "SALLYPORT_LISTNE", "the nearest one is SALLYPORT_LISTEN"},
		{"an unknown variable by its value", []string{"SALLYPORT_PORT=3128"}, "SALLYPORT_PORT", "no such variable"},
		{"a listener without a port", []string{"SALLYPORT_LISTEN=127.0.0.1"}, "SALLYPORT_LISTEN", "no HOST:PORT"},
		{"a port out of range", []string{"SALLYPORT_LISTEN=127.0.0.1:65536"}, "SALLYPORT_LISTEN", "not in 0 to 65535"},
		{"a port with a sign", []string{"SALLYPORT_LISTEN=127.0.0.1:-1"}, "SALLYPORT_LISTEN", "number from 0"},
		{"a port that is a name", []string{"SALLYPORT_LISTEN=127.0.0.1:http"}, "SALLYPORT_LISTEN", "number from 0"},
		{"a listener by http://", []string{"SALLYPORT_LISTEN=http://127.0.0.1:1"}, "SALLYPORT_LISTEN", "none of HOST:PORT"},
		{"a relative socket", []string{"SALLYPORT_LISTEN=unix:sp.sock"}, "SALLYPORT_LISTEN", "must be absolute"},
		{"a listener twice", []string{"SALLYPORT_LISTEN=127.0.0.1:1,127.0.0.1:1"}, "SALLYPORT_LISTEN", "stands twice"},
		{"an empty listener", []string{"SALLYPORT_LISTEN=127.0.0.1:1,"}, "SALLYPORT_LISTEN", "is empty"},
		{"a plain listener on all addresses", []string{"SALLYPORT_LISTEN=:3128"}, "SALLYPORT_LISTEN", "SALLYPORT_PLAINTEXT=allow"},
		{"a TLS listener without a certificate", []string{"SALLYPORT_LISTEN=https://:3128"}, "SALLYPORT_TLS_CERT", "needs SALLYPORT_TLS_CERT"},
		{"a certificate without its key", []string{"SALLYPORT_LISTEN=https://:1", "SALLYPORT_TLS_CERT=/c"}, "SALLYPORT_TLS_KEY", "missing"},
		{"a certificate that no listener uses", []string{"SALLYPORT_TLS_CERT=/c", "SALLYPORT_TLS_KEY=/k"}, "SALLYPORT_TLS_CERT", "no https:// listener"},
		{"a CA for clients without a TLS listener", []string{"SALLYPORT_TLS_CLIENT_CA=/c"}, "SALLYPORT_TLS_CLIENT_CA", "no https:// listener"},
		{"a CA and a CRL for clients without a TLS listener", []string{"SALLYPORT_TLS_CLIENT_CA=/c", "SALLYPORT_TLS_CLIENT_CRL=/r"}, "SALLYPORT_TLS_CLIENT_CA", "no https:// listener"},
		{"a CA for clients and no certificate for the listener", []string{"SALLYPORT_LISTEN=https://:1", "SALLYPORT_TLS_CLIENT_CA=/c"}, "SALLYPORT_TLS_CERT", "needs SALLYPORT_TLS_CERT"},
		{"a CRL without a CA for clients", []string{"SALLYPORT_LISTEN=https://:1", "SALLYPORT_TLS_CERT=/c", "SALLYPORT_TLS_KEY=/k", "SALLYPORT_TLS_CLIENT_CRL=/r"}, "SALLYPORT_TLS_CLIENT_CRL", "set SALLYPORT_TLS_CLIENT_CA"},
		{"an empty CRL among others", []string{"SALLYPORT_LISTEN=https://:1", "SALLYPORT_TLS_CERT=/c", "SALLYPORT_TLS_KEY=/k", "SALLYPORT_TLS_CLIENT_CA=/c", "SALLYPORT_TLS_CLIENT_CRL=/r,"}, "SALLYPORT_TLS_CLIENT_CRL", "is empty"},
		{"a CRL twice", []string{"SALLYPORT_LISTEN=https://:1", "SALLYPORT_TLS_CERT=/c", "SALLYPORT_TLS_KEY=/k", "SALLYPORT_TLS_CLIENT_CA=/c", "SALLYPORT_TLS_CLIENT_CRL=/r,/./r"}, "SALLYPORT_TLS_CLIENT_CRL", "stands twice"},
		{"plaintext by another word", []string{"SALLYPORT_PLAINTEXT=yes"}, "SALLYPORT_PLAINTEXT", "none of refuse, allow"},
		{"local callers by another word", []string{"SALLYPORT_LOCAL_CALLERS=some"}, "SALLYPORT_LOCAL_CALLERS", "none of open, closed"},
		{"an admin listener without a port", []string{"SALLYPORT_ADMIN_LISTEN=x"}, "SALLYPORT_ADMIN_LISTEN", "no HOST:PORT"},
		{"an admin listener that is the proxy's", []string{"SALLYPORT_ADMIN_LISTEN=127.0.0.1:3128"}, "SALLYPORT_ADMIN_LISTEN", "proxy's own"},
		{"an admin key alone", []string{"SALLYPORT_ADMIN_TLS_KEY=/k"}, "SALLYPORT_ADMIN_TLS_CERT", "missing"},
		{"an admin token with a space", []string{"SALLYPORT_ADMIN_TOKEN=a b"}, "SALLYPORT_ADMIN_TOKEN", "space"},
		{"a relative state directory", []string{"SALLYPORT_STATE_DIR=state"}, "SALLYPORT_STATE_DIR", "no absolute path"},
		{"no home", []string{"HOME="}, "SALLYPORT_STATE_DIR", "neither XDG_STATE_HOME nor HOME"},
		{"a store of another kind", []string{"SALLYPORT_STORE=postgres://u:pw@h/db"}, "SALLYPORT_STORE", "none of redis://"},
		{"Redis' CA without Redis", []string{"SALLYPORT_REDIS_CA_FILE=/c"}, "SALLYPORT_REDIS_CA_FILE", "there is no Redis store"},
		{"Redis' prefix without Redis", []string{"SALLYPORT_REDIS_PREFIX=x"}, "SALLYPORT_REDIS_PREFIX", "there is no Redis store"},
		{"Redis' replicas without Redis", []string{"SALLYPORT_REDIS_WAIT=1"}, "SALLYPORT_REDIS_WAIT", "there is no Redis store"},
		{"Redis without a keyset", []string{"SALLYPORT_STORE=redis+cluster://:pw@r:6379/0", "SALLYPORT_ADMIN_TOKEN=t"}, "SALLYPORT_KEYSET", "need one keyset"},
		{"Redis without an admin token", []string{"SALLYPORT_STORE=file:/run/secrets/url", "SALLYPORT_KEYSET=/k"}, "SALLYPORT_ADMIN_TOKEN", "need one admin token"},
		{"Redis' certificate without its key", []string{"SALLYPORT_STORE=rediss://r", "SALLYPORT_KEYSET=/k", "SALLYPORT_ADMIN_TOKEN=t", "SALLYPORT_REDIS_CERT=/c"}, "SALLYPORT_REDIS_KEY", "missing"},
		{"a prefix with a hash tag of its own", []string{"SALLYPORT_STORE=rediss://r", "SALLYPORT_KEYSET=/k", "SALLYPORT_ADMIN_TOKEN=t", "SALLYPORT_REDIS_PREFIX={a}"}, "SALLYPORT_REDIS_PREFIX", "letters, digits"},
		{"a lock of a moment", []string{"SALLYPORT_STORE=rediss://r", "SALLYPORT_KEYSET=/k", "SALLYPORT_ADMIN_TOKEN=t", "SALLYPORT_LOCK_TTL=10ms"}, "SALLYPORT_LOCK_TTL", "below 1s"},
		{"Redis' replicas in words", []string{"SALLYPORT_REDIS_WAIT=one"}, "SALLYPORT_REDIS_WAIT", "no whole number"},
		{"a keyset in the variable", []string{`SALLYPORT_KEYSET={"primaryKeyId":1}`}, "SALLYPORT_KEYSET", "looks like a keyset"},
		{"a keyset in a variable that is not set", []string{"SALLYPORT_KEYSET=env:KEYS"}, "SALLYPORT_KEYSET", "not set or empty"},
		{"a relative reference directory", []string{"SALLYPORT_REFERENCE_DIRS=secrets"}, "SALLYPORT_REFERENCE_DIRS", "no absolute path"},
		{"a duration without a unit", []string{"SALLYPORT_LOCK_TTL=30"}, "SALLYPORT_LOCK_TTL", "no duration"},
		{"a duration of zero", []string{"SALLYPORT_TOKEN_WAIT=0s"}, "SALLYPORT_TOKEN_WAIT", "not above zero"},
		{"a heartbeat below zero", []string{"SALLYPORT_HEARTBEAT_AFTER=-1h"}, "SALLYPORT_HEARTBEAT_AFTER", "not above zero"},
		{"a takeover below twice the exchange timeout", []string{"SALLYPORT_TAKEOVER_AFTER=119s"}, "SALLYPORT_TAKEOVER_AFTER", "below twice"},
		{"a settling time below the takeover wait", []string{"SALLYPORT_SETTLING_TIME=4m"}, "SALLYPORT_SETTLING_TIME", "is below SALLYPORT_TAKEOVER_AFTER"},
		{"a doubt by another word", []string{"SALLYPORT_IN_DOUBT=guess"}, "SALLYPORT_IN_DOUBT", "none of ask, late, hold, send"},
		{"no exchange at all", []string{"SALLYPORT_MAX_EXCHANGES=0"}, "SALLYPORT_MAX_EXCHANGES", "not above 0"},
		{"the whole life ahead", []string{"SALLYPORT_REFRESH_AHEAD=1"}, "SALLYPORT_REFRESH_AHEAD", "not between 0 and 1"},
		{"no fraction", []string{"SALLYPORT_REFRESH_AHEAD=NaN"}, "SALLYPORT_REFRESH_AHEAD", "not between 0 and 1"},
		{"a fraction in words", []string{"SALLYPORT_REFRESH_AHEAD=half"}, "SALLYPORT_REFRESH_AHEAD", "no number"},
		{"a pattern in the middle", []string{"SALLYPORT_PASSTHROUGH_HOSTS=a.*.com"}, "SALLYPORT_PASSTHROUGH_HOSTS", "not a host"},
		{"a tunnel to Salesforce", []string{"SALLYPORT_PASSTHROUGH_HOSTS=login.salesforce.com"}, "SALLYPORT_PASSTHROUGH_HOSTS", "never tunnelled"},
		{"a tunnel to a port out of range", []string{"SALLYPORT_PASSTHROUGH_HOSTS=a.example:70000"}, "SALLYPORT_PASSTHROUGH_HOSTS", "1 to 65535"},
		{"a source that is no address", []string{"SALLYPORT_PASSTHROUGH_SOURCE_IPS=eth0"}, "SALLYPORT_PASSTHROUGH_SOURCE_IPS", "no IP address"},
		{"a source for every address", []string{"SALLYPORT_EGRESS_SOURCE_IPS=0.0.0.0"}, "SALLYPORT_EGRESS_SOURCE_IPS", "no IP address"},
		{"a CIDR that is none", []string{"SALLYPORT_ALLOW_ADDRESSES=10.0.0.0/33"}, "SALLYPORT_ALLOW_ADDRESSES", "no CIDR"},
		{"a CIDR with bits behind its mask", []string{"SALLYPORT_ALLOW_ADDRESSES=10.0.0.1/8"}, "SALLYPORT_ALLOW_ADDRESSES", "write 10.0.0.0/8"},
		{"names sent elsewhere without roots", []string{"SALLYPORT_RESOLVE=a.example:443=127.0.0.1:1"}, "SALLYPORT_RESOLVE", "SALLYPORT_UPSTREAM_CA_FILE"},
		{"names sent to a name", []string{"SALLYPORT_UPSTREAM_CA_FILE=/c", "SALLYPORT_RESOLVE=a.example:443=localhost:1"}, "SALLYPORT_RESOLVE", "no IP address"},
		{"a name without a port sent elsewhere", []string{"SALLYPORT_UPSTREAM_CA_FILE=/c", "SALLYPORT_RESOLVE=a.example=127.0.0.1:1"}, "SALLYPORT_RESOLVE", "no host:port"},
		{"one name sent to two places", []string{"SALLYPORT_UPSTREAM_CA_FILE=/c", "SALLYPORT_RESOLVE=a.b:1=127.0.0.1:1,a.b:1=127.0.0.1:2"}, "SALLYPORT_RESOLVE", "mapped twice"},
		{"registered addresses without an echo", []string{"SALLYPORT_EGRESS_ALLOWED=203.0.113.0/29,203.0.113.20-203.0.113.22"}, "SALLYPORT_EGRESS_ECHO_URL", "without an echo"},
		{"a range that goes backwards", []string{"SALLYPORT_EGRESS_ALLOWED=203.0.113.9-203.0.113.7"}, "SALLYPORT_EGRESS_ALLOWED", "no range"},
		{"an echo by http", []string{"SALLYPORT_EGRESS_ECHO_URL=http://echo.example/ip"}, "SALLYPORT_EGRESS_ECHO_URL", "no https://"},
		{"enforcement without registered addresses", []string{"SALLYPORT_EGRESS_ENFORCE=exchanges"}, "SALLYPORT_EGRESS_ENFORCE", "nothing to enforce"},
		{"enforcement by another word", []string{"SALLYPORT_EGRESS_ENFORCE=some"}, "SALLYPORT_EGRESS_ENFORCE", "none of exchanges, all"},
		{"an upstream proxy by SOCKS", []string{"SALLYPORT_EGRESS_PROXY=socks5://u:pw@h:1"}, "SALLYPORT_EGRESS_PROXY", "no http://"},
		{"an upstream proxy with a port out of range", []string{"SALLYPORT_EGRESS_PROXY=http://u:pw@h:70000"}, "SALLYPORT_EGRESS_PROXY", "not in 1 to 65535"},
		{"an upstream proxy that doesn't parse", []string{"SALLYPORT_EGRESS_PROXY=http://u:pw@h:a"}, "SALLYPORT_EGRESS_PROXY", "no URL"},
		{"a CA without its key", []string{"SALLYPORT_CA_CERT=/c"}, "SALLYPORT_CA_KEY", "missing"},
		{"a constraint that is a pattern", []string{"SALLYPORT_CA_DOMAINS=*.force.com"}, "SALLYPORT_CA_DOMAINS", "pattern"},
		{"a size in words", []string{"SALLYPORT_MAX_REPLAY_BODY=big"}, "SALLYPORT_MAX_REPLAY_BODY", "no size"},
		{"a size in decimal units", []string{"SALLYPORT_MAX_REPLAY_BODY=1MB"}, "SALLYPORT_MAX_REPLAY_BODY", "no size"},
		{"a size below zero", []string{"SALLYPORT_MAX_REPLAY_BODY=-1"}, "SALLYPORT_MAX_REPLAY_BODY", "no size"},
		{"a size that overflows", []string{"SALLYPORT_MAX_REPLAY_MEMORY=9223372036854775807KiB"}, "SALLYPORT_MAX_REPLAY_MEMORY", "too large"},
		{"one body larger than all", []string{"SALLYPORT_MAX_REPLAY_BODY=1GiB"}, "SALLYPORT_MAX_REPLAY_BODY", "allows for all"},
		{"no connection at all", []string{"SALLYPORT_MAX_CONNECTIONS=0"}, "SALLYPORT_MAX_CONNECTIONS", "not above 0"},
		{"a drain without end", []string{"SALLYPORT_DRAIN_TIMEOUT=forever"}, "SALLYPORT_DRAIN_TIMEOUT", "no duration"},
		{"a log level by another word", []string{"SALLYPORT_LOG_LEVEL=trace"}, "SALLYPORT_LOG_LEVEL", "none of debug"},
		{"a log format by another word", []string{"SALLYPORT_LOG_FORMAT=xml"}, "SALLYPORT_LOG_FORMAT", "none of text, json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(append([]string{"HOME=/home/sp"}, tt.environ...))
			var e *config.EnvError
			if !errors.As(err, &e) || !errors.Is(err, config.ErrInvalid) {
				t.Fatalf("got %v, want an EnvError", err)
			}
			if len(e.Faults) != 1 || e.Faults[0].Variable != tt.variable || !strings.Contains(e.Faults[0].Message, tt.says) {
				t.Errorf("got %v, want one fault of %s that says %q", err, tt.variable, tt.says)
			}
			if strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "primaryKeyId") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestLoadReportsAllFaultsAtOnce(t *testing.T) {
	_, err := config.Load([]string{"HOME=/h", "SALLYPORT_LISTNE=x", "SALLYPORT_LOCK_TTL=1", "SALLYPORT_MAX_EXCHANGES=x",
		"SALLYPORT_RESOLVE=a.b:1=127.0.0.1:1,c", "SALLYPORT_STORE=redis:r", "SALLYPORT_IN_DOUBT=x",
		"SALLYPORT_TLS_KEY=/k", "SALLYPORT_TLS_CLIENT_CRL=/r"})
	var e *config.EnvError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Variable)
	}
	want := []string{"SALLYPORT_IN_DOUBT", "SALLYPORT_LISTNE", "SALLYPORT_LOCK_TTL", "SALLYPORT_MAX_EXCHANGES",
		"SALLYPORT_RESOLVE", "SALLYPORT_RESOLVE", "SALLYPORT_STORE", "SALLYPORT_TLS_CERT", "SALLYPORT_TLS_CERT", "SALLYPORT_TLS_CLIENT_CRL"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	load(t, "SALLYPORT_ADMIN_URL=http://127.0.0.1:1", "SALLYPORT_CLIENT_SECRET=x", "SALLYPORT_SERVICE_HOST=10.0.0.1",
		"SALLYPORT_SERVICE_PORT=3128", "SALLYPORT_SERVICE_PORT_PROXY=3128", "SALLYPORT_PORT=tcp://10.0.0.1:3128",
		"SALLYPORT_PORT_3128_TCP=tcp://10.0.0.1:3128", "SALLYPORT_PORT_3128_TCP_PROTO=tcp", "SALLYPORT_PORT_3128_TCP_PORT=3128",
		"SALLYPORT_PORT_3128_TCP_ADDR=10.0.0.1", "SALLYPORT_ADMIN_SERVICE_HOST=10.0.0.2", "SALLYPORT_ADMIN_PORT=tcp://10.0.0.2:3129",
		"SALLYPORTAL=x", "sallyport_listen=x", "OTEL_SERVICE_NAME=x", "HTTPS_PROXY=x")
}

func TestMarkdown(t *testing.T) {
	table := config.Markdown()
	for _, row := range []string{
		"| `SALLYPORT_LISTEN` | `127.0.0.1:3128` | a comma-separated list; `https://ADDR` is the proxy over TLS (HTTP/1.1 only), `unix:PATH` a socket with mode 0600 |\n",
		"| `SALLYPORT_HEARTBEAT_AFTER` | `600h` (25 days) |",
		"| `SALLYPORT_STATE_DIR` | `$XDG_STATE_HOME/sallyport`, else `~/.local/state/sallyport` |",
		"| from when a replica first saw another's attempt until",
		"| `OTEL_*` | no exporter unless one is configured |",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("the table lacks %q", row)
		}
	}
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, ""), "|")
		if len(cells) != 5 || i > 1 && (cells[1] == "  " || cells[3] == "  ") || strings.Count(line, "`")%2 != 0 {
			t.Errorf("row %q", line)
		}
	}
	if n := len(config.Variables()); n != 51 {
		t.Errorf("%d variables", n)
	}
}
