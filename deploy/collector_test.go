//go:build live && collector

package deploy_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/otlptest"
)

// otelcol is a collector built by builder.yaml, see otelcol/check.sh.
var otelcol = flag.String("otelcol", "", "the collector to run")

// overlay puts the collector on ports of this test, and shortens its patience.
const overlay = `
extensions: {health_check: {endpoint: %q}}
receivers: {otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}}
processors: {tail_sampling: {decision_wait: 5s}, batch: {timeout: 100ms}}
exporters: {otlp_grpc: {compression: none, tls: {insecure: true}}}
service: {telemetry: {metrics: {level: none}}}
`

// TestCollectorKeepsEveryRace sends the race through a real collector that keeps
// no share of the rest.
func TestCollectorKeepsEveryRace(t *testing.T) {
	rec := otlptest.Start(t)
	var ports []any
	for range 3 {
		n, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, n.Addr().String())
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "overlay.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, overlay, ports...), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, *otelcol, "--config", "otelcol/config.yaml", "--config", file)
	cmd.Env = []string{"OTLP_ENDPOINT=" + rec.Addr(), "OTLP_HEADERS=none", "KEEP_PERCENT=0"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		d := net.Dialer{}
		conn, err := d.DialContext(ctx, "tcp", ports[1].(string))
		if err == nil {
			_ = conn.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
	l := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+ports[1].(string), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRICS_EXPORTER=none",
		"SALLYPORT_EXCHANGE_TIMEOUT=2s", "SALLYPORT_TAKEOVER_AFTER=4s")
	race(t, l)
	kinds := map[string]int{}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(time.Second) {
		clear(kinds)
		for _, spans := range traces(rec) {
			kinds[kind(spans)]++
		}
		if kinds["exchange"] >= 3 && kinds["waiter"] >= 2 {
			break
		}
	}
	if kinds["exchange"] != 3 || kinds["waiter"] < 2 || kinds["plain call"] > 0 {
		t.Errorf("of three exchanges, those who waited for them, and twenty plain calls came %v", kinds)
	}
}
