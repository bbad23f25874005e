package lab_test

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/otlptest"
	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/internal/sfsim"
)

// Three replicas race for one exchange, and an SRE can see from the traces and
// from explain who won, who lost to whom, and who waited for what.
func TestARaceAmongThreeReplicasIsReadable(t *testing.T) {
	rec := otlptest.Start(t)
	redis := redistest.Start(t, redistest.Options{})
	all := fleet(t, 3, redis.URL(), lab.Options{Orgs: []string{"acme"}, Session: time.Hour, Env: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + rec.Addr(), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRICS_EXPORTER=none"}})
	release := make(chan struct{})
	all[0].Sim.Inject(sfsim.Hold(release))
	var wg sync.WaitGroup
	for _, l := range all {
		c := l.NewClient()
		for range 5 {
			wg.Go(func() { mustCall(t, l, c) })
		}
	}
	for _, l := range all {
		awaitMetric(t.Context(), t, l, `sallyport_token_waiting{[^}]*sallyport_org="acme"[^}]*} 5`)
	}
	close(release)
	wg.Wait()
	expectLedger(t, all[0], 1)
	cmd := exec.CommandContext(t.Context(), binary, "explain", "acme")
	cmd.Env = all[1].Env
	story, err := cmd.CombinedOutput()
	if err != nil || bytes.Count(story, []byte("lost to it")) != 2 || !bytes.Contains(story, []byte("generation 1 → 2")) {
		t.Errorf("the story (%v) doesn't tell who lost:\n%s", err, story)
	}
	for _, l := range all {
		if err := l.Stop(t.Context()); err != nil { // flushes spans
			t.Fatal(err)
		}
	}
	spans := rec.Spans()
	var won []byte
	var winner string
	lost := 0
	for _, x := range named(spans, "token.exchange") {
		if attribute(x, "sallyport.exchange.outcome") == "issued" {
			if won != nil {
				t.Error("two exchanges were made")
			}
			won, winner = x.GetSpanId(), attribute(x, "sallyport.replica")
		}
	}
	for _, x := range named(spans, "token.exchange") {
		if attribute(x, "sallyport.race") != "lost" {
			continue
		}
		lost++
		if attribute(x, "sallyport.race.winner") != winner || !linksTo(x, won) {
			t.Errorf("a race was lost to %q, want %q and a link to its exchange", attribute(x, "sallyport.race.winner"), winner)
		}
		if attribute(x, "sallyport.replica") == winner {
			t.Error("a replica lost to itself")
		}
	}
	if lost != 2 {
		t.Errorf("%d replicas say that they lost, want 2", lost)
	}
	waits := named(spans, "token.wait")
	linked := 0
	for _, w := range waits {
		if linksTo(w, won) {
			linked++
		}
	}
	if linked != 15 {
		t.Errorf("%d of %d waiters link to the exchange that served them, want 15", linked, len(waits))
	}
	if !strings.Contains(string(story), winner) {
		t.Errorf("the story doesn't name the winner %s:\n%s", winner, story)
	}
}
