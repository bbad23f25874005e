package check_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/egressplan"
)

// asserted are the values of sallyport_egress_allowed in a file of tests.
func asserted(t *testing.T) []string {
	t.Helper()
	src, err := os.ReadFile("../modules/ranges/tests/ranges.tftest.hcl")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`output\.sallyport_egress_allowed == "([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
		out = append(out, m[1])
	}
	if len(out) < 5 {
		t.Fatalf("only %d values were found", len(out))
	}
	return out
}

func TestWhatTheModuleSaysIsReadAsItIsWritten(t *testing.T) {
	for _, value := range asserted(t) {
		set, err := egressplan.ParseAll(value)
		if err != nil {
			t.Errorf("egress plan --registered %s: %v", value, err)
			continue
		}
		if set.String() != value {
			t.Errorf("%s is not as few ranges as can be: %s", value, set)
		}
	}
}

// A serve that lacks SALLYPORT_EGRESS_ECHO_URL tells all its faults and ends. A
// value that it can't read would be one of them.
func TestServeTakesWhatTheModuleSays(t *testing.T) {
	faults := func(value string) string {
		cmd := exec.CommandContext(t.Context(), program(t, *sallyport), "serve")
		cmd.Env = []string{"SALLYPORT_EGRESS_ALLOWED=" + value, "SALLYPORT_STATE_DIR=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "SALLYPORT_EGRESS_ECHO_URL") && !strings.Contains(string(out), "SALLYPORT_EGRESS_ALLOWED:") {
			t.Fatalf("serve told no fault: %v\n%s", err, out)
		}
		return string(out)
	}
	if out := faults("203.0.113.9-203.0.113.7"); !strings.Contains(out, "203.0.113.9-203.0.113.7") {
		t.Fatalf("a range that ends before it starts was taken:\n%s", out)
	}
	for _, value := range asserted(t) {
		if out := faults(value); strings.Contains(out, value) || !strings.Contains(out, "SALLYPORT_EGRESS_ECHO_URL") {
			t.Errorf("%s was refused:\n%s", value, out)
		}
	}
}

// ranges is one case's output of modules/ranges.
type ranges struct {
	Allowed string             `json:"allowed"`
	Ranges  []egressplan.Range `json:"ranges"`
}

// Two programs that were written apart, in two languages, must merge alike.
func TestTheModuleMergesAsEgressplanDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //#nosec G404 -- cases, no secrets
	cases := map[string][]string{}
	want := map[string]ranges{}
	for n := range 60 {
		var all []netip.Addr
		for range 1 + rnd.IntN(40) {
			all = append(all, netip.AddrFrom4([4]byte{[]byte{9, 62, 198}[rnd.IntN(3)], 51, byte(99 + rnd.IntN(2)), byte(rnd.IntN(32) - 16)}))
		}
		key := fmt.Sprintf("case-%02d", n)
		for _, a := range all {
			cases[key] = append(cases[key], a.String())
		}
		set := egressplan.Of(all...)
		want[key] = ranges{set.String(), set}
	}
	w := newWorkspace(t, t.TempDir())
	w.write(t, "cases/main.tf", `
variable "cases" {
  type = map(list(string))
}
module "ranges" {
  source    = "../modules/ranges"
  for_each  = var.cases
  addresses = each.value
}
output "all" {
  value = { for k, m in module.ranges : k => { allowed = m.sallyport_egress_allowed, ranges = m.salesforce_ip_ranges } }
}
`)
	vars, err := json.Marshal(map[string]any{"cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "cases/terraform.tfvars.json", string(vars))
	w.run(t, "cases", "init", "-backend=false", "-input=false")
	w.run(t, "cases", "apply", "-auto-approve", "-input=false")
	var got struct{ All map[string]ranges }
	w.outputs(t, "cases", &got)
	if diff := cmp.Diff(want, got.All, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-egressplan +module:\n%s", diff)
	}
}
