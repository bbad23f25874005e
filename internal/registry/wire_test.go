package registry_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
)

func TestAChangeGoesThroughJSON(t *testing.T) {
	c := base()
	c.Prune, c.Rehome, c.Source, c.Lines = true, []string{"acme"}, "sp.yaml", map[string]int{"apps[0]": 2}
	c.Orgs[0].Seed, c.Orgs[0].SessionTimeout = secret.NewText("5Aep"), 2*time.Hour
	c.Orgs[0].Egress, c.Orgs[0].ForeignHosts = netip.MustParseAddr("203.0.113.7"), true
	c.Clients[0].Secret, c.Clients[0].Passthrough = secret.NewText("hunter2"), &[]string{}
	c.Clients[0].Limits = registry.Limits{RequestsPerSecond: 0.5, Concurrent: 3}
	c.Clients[0].Mode, c.Clients[0].Composite, c.Clients[0].Traces = registry.ModeReport, true, registry.TracesTrusted
	b, err := registry.EncodeChange(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := registry.DecodeChange(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got, cmp.Comparer(secret.Text.Equal), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeChangeRefuses(t *testing.T) {
	tests := []struct{ name, body, says string }{
		{"no JSON", `apps:`, "no JSON"},
		{"half an object", `{"apps":[`, "no complete JSON"},
		{"two objects", `{}{}`, "something behind"},
		{"an unknown key", `{"orgs":[{"name":"a","colour":"red"}]}`, `unknown field "colour"`},
		{"a wrong type", `{"orgs":[{"name":5}]}`, "orgs.name: a string"},
		{"a reference to the environment", `{"apps":[{"name":"a","clientId":"env:X"}]}`, "apps[0].clientId: it looks like a reference"},
		{"a reference to a file", `{"orgs":[{"name":"a","refreshToken":"file:/etc/passwd"}]}`, "orgs[0].refreshToken: it looks like a reference"},
		{"a client's secret by reference", `{"clients":[{"name":"a","secret":"env:X"}]}`, "clients[0].secret: it looks like a reference"},
		{"a redacted secret", `{"clients":[{"name":"a","secret":"[redacted]"}]}`, "printed form"},
		{"a bad address", `{"orgs":[{"name":"a","egress":"x"}]}`, "no IP address"},
		{"a session timeout of zero", `{"orgs":[{"name":"a","sessionTimeout":"0s"}]}`, "shorter than 1s"},
		{"a session timeout without a unit", `{"orgs":[{"name":"a","sessionTimeout":"2"}]}`, "no duration"},
		{"a limit of zero", `{"clients":[{"name":"a","limits":{"concurrent":0}}]}`, "above 0"},
		{"too much", `{"source":"` + strings.Repeat("x", registry.MaxChange) + `"}`, "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registry.DecodeChange(strings.NewReader(tt.body))
			faults(t, err)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func FuzzDecodeChange(f *testing.F) {
	f.Add([]byte(`{"orgs":[{"name":"a","sessionTimeout":"1s","egress":"::1"}],"clients":[{"limits":{"concurrent":1}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := registry.DecodeChange(bytes.NewReader(b))
		if err == nil {
			_ = registry.Check(c)
		}
	})
}
