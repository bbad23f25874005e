package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary play the roles, as the command does.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestATinyRunOfThePeersGivesFiguresForEveryScenario(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	o, err := parse([]string{
		"-without-sallyport", "-rounds", "1", "-seconds", "0.2", "-idle", "20", "-json", file,
		"-only", "plain,single,connect,h2,idle",
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(p, &rep); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"plain/direct", "plain/goproxy default", "plain/goproxy tuned", "single/goproxy blind tunnel", "connect/goproxy tuned, full", "h2/goproxy tuned", "idle/goproxy tuned"} {
		found := false
		for _, f := range rep.Figures {
			found = found || f.Scenario+"/"+f.Cell == want
		}
		if !found {
			t.Errorf("no figure of %s in\n%s", want, out.String())
		}
	}
}

func TestAFailedRequestMakesTheRunNotCount(t *testing.T) {
	o, err := parse([]string{"-without-sallyport", "-rounds", "1", "-seconds", "0.1"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLab(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c := cell{name: direct, arrangement: direct, load: load{Kind: keptAlive, Path: "/no/such/path", Callers: 2}}
	if _, err := l.cell(t.Context(), c); err == nil || !strings.Contains(err.Error(), "does not count") {
		t.Errorf("got %v, want a run that does not count", err)
	}
}

func TestAMustIsJudgedByTheMedianOfItsRounds(t *testing.T) {
	at := func(cpu ...float64) (s []sample) {
		for _, c := range cpu {
			s = append(s, sample{tally: tally{Requests: 1e6, Seconds: 1, P50: 1e-4, P99: 1e-3}, CPU: c})
		}
		return s
	}
	for name, c := range map[string]struct {
		ours          []float64
		reached, goal bool
	}{
		"one bad round of three is excused": {[]float64{39, 100, 38}, true, false},
		"two bad rounds of three are not":   {[]float64{39, 100, 99}, false, false},
		"half of goproxy is the goal":       {[]float64{20, 21, 20}, true, true},
		"not measured is not reached":       {nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := results{plain: {goproxyTuned: at(40, 40, 40), sallyport: at(c.ours...)}}
			if m := musts(r, nil)[0]; m.Reached != c.reached || m.GoalToo != c.goal {
				t.Errorf("got reached %v, goal %v; want %v, %v: %s", m.Reached, m.GoalToo, c.reached, c.goal, m.row())
			}
		})
	}
}

func TestSpansAreCountedByName(t *testing.T) {
	field := func(n byte, p []byte) []byte { return append([]byte{n<<3 | 2, byte(len(p))}, p...) }
	span := func(name string) []byte {
		id := field(1, []byte("0123456789abcdef"))
		return field(2, append(append(id, field(5, []byte(name))...), 6<<3, 2)) // and kind, a number
	}
	scope := field(2, append(span(requestSpan), append(span("token.get"), span(requestSpan)...)...))
	if n := countSpans(field(1, append(field(1, []byte("resource")), scope...)), 3); n != 2 {
		t.Errorf("counted %d spans, want 2", n)
	}
	if n := countSpans([]byte{0x0a, 0xff}, 3); n != 0 {
		t.Errorf("counted %d spans in a cut message, want 0", n)
	}
}
