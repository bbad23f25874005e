package check_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/egressplan"
)

// The providers that the stub stands for, and their releases in stub/schemas.txt.
func releases() map[string]string {
	return map[string]string{"aws": "6.25.0", "google": "6.50.0", "azurerm": "4.55.0"}
}

// mirror is a directory of providers, all of them the stub.
func mirror(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	stub := filepath.Join(dir, "stub")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", stub, "./stub").CombinedOutput()
	if err != nil {
		t.Fatalf("building the stub: %v\n%s", err, out)
	}
	for name, version := range releases() {
		at := filepath.Join(dir, "registry.opentofu.org/hashicorp", name, version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(stub, filepath.Join(at, "terraform-provider-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scene is an example with values for its variables, and the edits that move it.
type scene struct {
	cloud     string
	vars      map[string]string
	addresses []string   // types of resources that hold an address
	nat       string     // the type of the NAT
	moves     [][]string // each step: what stands in the example, and what shall
	// replaced says that another address means another NAT.
	replaced bool
}

func scenes() []scene {
	return []scene{
		{
			cloud: "aws", nat: "aws_nat_gateway", addresses: []string{"aws_eip"}, replaced: true,
			vars: map[string]string{
				"vpc_id": `"vpc-0a"`, "internet_gateway_id": `"igw-0a"`, "public_subnet_id": `"subnet-0a"`, "route_table_ids": `["rtb-0a", "rtb-0b"]`,
			},
			moves: [][]string{{`tags = {`, "spare_in = \"eu-central-1a\"\n  tags = {"}},
		},
		{
			cloud: "gcp", nat: "google_compute_router_nat", addresses: []string{"google_compute_address"},
			vars:  map[string]string{"project": `"p-1"`, "network": `"n"`, "subnetwork": `"projects/p-1/regions/europe-west3/subnetworks/s"`},
			moves: [][]string{{`labels `, "leave_by = \"both\"\n  labels "}, {`"both"`, "\"spare\"\n  drain = true"}},
		},
		{
			cloud: "azure", nat: "azurerm_nat_gateway", addresses: []string{"azurerm_public_ip", "azurerm_public_ip_prefix"},
			vars:  map[string]string{"subscription_id": `"00000000-0000-0000-0000-000000000000"`, "resource_group_name": `"g"`, "subnet_id": `"/subscriptions/x/subnets/s"`},
			moves: [][]string{{`tags  `, "leave_by = \"both\"\n  tags  "}, {`"both"`, `"spare"`}},
		},
	}
}

// told are the outputs that every cloud has.
type told struct {
	Allowed   string             `json:"sallyport_egress_allowed"`
	Ranges    []egressplan.Range `json:"salesforce_ip_ranges"`
	Addresses []string           `json:"addresses"`
	Spare     string             `json:"spare_address"`
}

func TestAnExampleIsAppliedMovedAndNotDestroyed(t *testing.T) {
	providers := mirror(t)
	for _, s := range scenes() {
		t.Run(s.cloud, func(t *testing.T) {
			w, dir := newWorkspace(t, providers), "examples/"+s.cloud
			var vars strings.Builder
			for _, name := range slices.Sorted(maps.Keys(s.vars)) {
				vars.WriteString(name + " = " + s.vars[name] + "\n")
			}
			w.write(t, dir+"/terraform.tfvars", vars.String())
			w.run(t, dir, "init", "-backend=false", "-input=false")
			w.run(t, dir, "validate")

			before := s.plan(t, w, dir)
			if n := len(before[s.nat]); n != 1 {
				t.Errorf("%d NAT gateways, not one", n)
			}
			w.run(t, dir, "apply", "-auto-approve", "-input=false")
			var first told
			w.outputs(t, dir, &first)
			registered := held(t, first)
			if len(first.Addresses) != 1 {
				t.Errorf("calls leave by %v, not by one address", first.Addresses)
			}

			for i, move := range s.moves {
				w.edit(t, dir+"/main.tf", move[0], move[1])
				actions := s.plan(t, w, dir)
				for _, kind := range s.addresses {
					if diff := cmp.Diff([]string{"no-op"}, slices.Compact(slices.Sorted(slices.Values(actions[kind])))); diff != "" {
						t.Errorf("step %d changes addresses:\n%s", i+1, diff)
					}
				}
				if s.replaced && !slices.Equal(actions[s.nat], []string{"create,delete"}) {
					t.Errorf("step %d does %v to the NAT: the new one must stand before the old one goes", i+1, actions[s.nat])
				}
				if !s.replaced && (slices.Contains(actions[s.nat], "create,delete") || slices.Contains(actions[s.nat], "delete,create")) {
					t.Errorf("step %d replaces the NAT", i+1)
				}
				w.run(t, dir, "apply", "-auto-approve", "-input=false")
			}
			var moved told
			w.outputs(t, dir, &moved)
			if diff := cmp.Diff([]string{first.Spare}, moved.Addresses); diff != "" {
				t.Errorf("after the move calls don't leave by the spare: -want +got\n%s", diff)
			}
			if moved.Allowed != registered.String() {
				t.Errorf("the move changed what is registered: %s, was %s", moved.Allowed, registered)
			}

			out, err := w.try(t, dir, "destroy", "-auto-approve", "-input=false", "-no-color")
			if err == nil || !strings.Contains(out, "prevent_destroy") {
				t.Errorf("it was not refused to destroy the addresses: %v\n%s", err, out)
			}
		})
	}
}

// held holds outputs against the product's limits and its way to write ranges.
func held(t *testing.T, o told) egressplan.Set {
	t.Helper()
	set, err := egressplan.ParseAll(o.Allowed)
	if err != nil {
		t.Fatal(err)
	}
	if !egressplan.Measure(set).OK() || set.String() != o.Allowed || egressplan.NewSet(o.Ranges...).String() != o.Allowed {
		t.Errorf("%s and %v are not the fewest ranges", o.Allowed, o.Ranges)
	}
	for _, a := range append(slices.Clone(o.Addresses), o.Spare) {
		if one, err := egressplan.Parse(a); err != nil || !set.Contains(one.From) {
			t.Errorf("%s is not registered by %s: %v", a, o.Allowed, err)
		}
	}
	if slices.Contains(o.Addresses, o.Spare) {
		t.Errorf("the spare %s is in use", o.Spare)
	}
	return set
}

// plan is what OpenTofu would do, by type of resource.
func (s scene) plan(t *testing.T, w workspace, dir string) map[string][]string {
	t.Helper()
	w.run(t, dir, "plan", "-out=plan", "-input=false")
	var p struct {
		Changes []struct {
			Type   string
			Change struct{ Actions []string }
		} `json:"resource_changes"`
	}
	if err := json.Unmarshal([]byte(w.run(t, dir, "show", "-json", "plan")), &p); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, c := range p.Changes {
		out[c.Type] = append(out[c.Type], strings.Join(c.Change.Actions, ","))
	}
	return out
}
