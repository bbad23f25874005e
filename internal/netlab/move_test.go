package netlab_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// step is one of `sallyport egress plan -o json`.
type step struct {
	Do, Where       string
	Notes, Commands []string
}

// TestAnAddressChangesByThePlansOwnSteps does what the plan says, in its order
// and by its own commands, while both orgs are called between any two steps. At
// the end all leaves by the new address, no session was lost, and no refresh
// token ever left by an address that Salesforce didn't list.
func TestAnAddressChangesByThePlansOwnSteps(t *testing.T) {
	const before, after = "198.51.100.11", "198.51.100.14"
	d := deploy(t, before, "acme", "globex")
	d.resources(nil)
	m := newMachine(t, "198.51.100.21/24", before+"/24")
	m.allow(before, after)
	r := d.start(m, salesforce4, "SALLYPORT_EGRESS_SOURCE_IPS="+before)
	works := func() {
		t.Helper()
		r.serves("acme")
		r.serves("globex")
	}
	works()
	for i, s := range r.plan("--to", after) {
		t.Logf("%d. %s (%s) %q", i+1, s.Do, s.Where, s.Notes)
		var env []string
		pins := map[string]string{}
		for _, n := range s.Notes {
			if strings.HasPrefix(n, "SALLYPORT_") {
				setting, _, _ := strings.Cut(n, ", ") // what follows is for people
				env = append(env, setting)
			}
			if _, org, ok := strings.Cut(n, "org "); ok && strings.Contains(org, ", egress: ") {
				name, addr, _ := strings.Cut(org, ", egress: ")
				pins[name] = addr
			}
		}
		switch {
		case s.Where == "Salesforce" && strings.Contains(s.Do, " add "):
			d.list(before + "," + after)
		case s.Where == "Salesforce":
			d.list(after)
		case s.Where == "network":
			m.give("out", after+"/24")
		}
		if slices.ContainsFunc(s.Commands, func(c string) bool { return strings.HasPrefix(c, "sallyport apply") }) {
			if strings.Contains(s.Do, "canary") {
				pins["globex"] = before
			}
			d.resources(pins)
			t.Logf("   the resources file pins %v", pins)
		}
		if len(env) > 0 && strings.Contains(s.Do, "take the old addresses out of the resources") {
			r.run("apply", "-f", d.path("resources.yaml")) // before the address goes
		}
		if len(env) > 0 {
			r.again(env...)
		}
		for _, c := range s.Commands {
			args := strings.Fields(strings.ReplaceAll(c, "FILE", d.path("resources.yaml")))
			out, err := r.try(args[1:]...)
			t.Logf("   $ %s\n%s", c, out)
			early := strings.HasPrefix(s.Do, "Two days after") && strings.Contains(out, before) // nobody waits here: its last use is seen
			if err != nil && !early && args[2] != "plan" {                                      // a plan exits with 1 while there is something to do
				t.Fatalf("step %d: %s: %v\n%s", i+1, c, err, out)
			}
		}
		works()
	}
	m.allow(after)
	works()
	r.run("grant", "refresh", "globex")
	if n := m.strays(); n != "0" {
		t.Errorf("%s packets left by another address", n)
	}
	l := d.sim.Ledger()
	for _, x := range l.Tokens {
		if x.Access.Fingerprint == "" {
			t.Errorf("an exchange of %s from %v was refused: %s %s", x.Host, x.Source, x.Error, x.Description)
		}
	}
	if l.Replays != 0 || len(l.Losses) != 0 {
		t.Errorf("%d replays, %d losses", l.Replays, len(l.Losses))
	}
	if left := r.plan(); len(left) != 0 {
		t.Errorf("at the end there is still to do: %+v", left)
	}
}

func (r *replica) plan(args ...string) []step {
	r.t.Helper()
	cmd := r.m.command(binary, append([]string{"egress", "plan", "-o", "json"}, args...)...)
	cmd.Env = r.env
	out, _ := cmd.Output() // it exits with 1 while there is something to do
	var p struct{ Steps []step }
	if err := json.Unmarshal(out, &p); err != nil {
		r.t.Fatalf("the plan: %v\n%s", err, out)
	}
	return p.Steps
}

// list has Salesforce know these addresses.
func (d *deployment) list(addrs string) {
	d.t.Helper()
	if err := d.sim.UpdateApp(clientID, func(a *sfsim.App) { a.Allowlist = ranges(d.t, addrs) }); err != nil {
		d.t.Fatal(err)
	}
}
