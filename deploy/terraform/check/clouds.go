package check

import (
	"slices"

	"github.com/zclconf/go-cty/cty"
)

// contract are the outputs that each cloud's module must have, and no other.
func contract() []string {
	return []string{"addresses", "salesforce_ip_ranges", "sallyport_egress_allowed", "spare_address", "subnet_ids"}
}

func sameOutputs(t Tree, say func(string, string, ...any)) {
	for _, cloud := range clouds() {
		if got := t[cloud].names("output"); !slices.Equal(got, contract()) {
			say(cloud, "its outputs are %v, and should be %v", got, contract())
		}
	}
}

// gateway is what makes a cloud's NAT leave by one address unless it is told
// otherwise.
type gateway struct {
	cloud, nat string
	defaults   map[string]cty.Value // of variables
	must       map[string]string    // an attribute of the NAT that must be this text
	never      []string             // attributes of the NAT that would bring in more addresses
	banned     []string             // resources that would
	address    string               // the resource that the spare is one of
}

func gateways() []gateway {
	null := cty.NullVal(cty.DynamicPseudoType)
	pooled := map[string]cty.Value{"nat_addresses": cty.NumberIntVal(1), "leave_by": cty.StringVal("primary")}
	return []gateway{
		{
			cloud: "aws", nat: "aws_nat_gateway",
			defaults: map[string]cty.Value{"per_zone": cty.False, "nat_zone": null, "spare_in": null},
			must:     map[string]string{"connectivity_type": "public"},
			never:    []string{"secondary_allocation_ids", "availability_zone_address"},
			banned:   []string{"aws_nat_gateway_eip_association"},
			address:  "aws_eip",
		},
		{
			cloud: "gcp", nat: "google_compute_router_nat",
			defaults: pooled,
			must:     map[string]string{"nat_ip_allocate_option": "MANUAL_ONLY", "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS"},
			never:    []string{"initial_nat_ips"},
			banned:   []string{"google_compute_router_nat_address"},
			address:  "google_compute_address",
		},
		{
			cloud: "azure", nat: "azurerm_nat_gateway",
			defaults: pooled,
			never:    []string{"public_ip_address_ids", "public_ip_prefix_ids"},
			banned:   []string{"azurerm_nat_gateway_public_ip_prefix_association"},
			address:  "azurerm_public_ip",
		},
	}
}

// oneByDefault looks at the text; what the defaults come to, one key and the
// spare, is asserted by the tests of modules/pool and modules/zones.
func oneByDefault(t Tree, say func(string, string, ...any)) {
	for _, g := range gateways() {
		m := t[g.cloud]
		nats := m.Blocks("resource", g.nat)
		if len(nats) != 1 {
			say(g.cloud, "%d resources of type %s, not one", len(nats), g.nat)
		}
		for _, nat := range nats {
			for name, want := range g.must {
				if text(attr(nat, name)) != want {
					say(at(nat.DefRange()), "%s is not %q", name, want)
				}
			}
			for _, name := range g.never {
				if attr(nat, name) != nil || len(inner(nat, name)) > 0 {
					say(at(nat.DefRange()), "%s gives the gateway more than one address", name)
				}
			}
		}
		for _, kind := range g.banned {
			for _, b := range m.Blocks("resource", kind) {
				say(at(b.DefRange()), "%s gives the gateway more than one address", kind)
			}
		}
		for name, want := range g.defaults {
			for _, where := range []*Module{m, t["modules/pool"], t["modules/zones"]} {
				for _, v := range where.Blocks("variable", name) {
					if !is(attr(v, "default"), want) {
						say(at(v.DefRange()), "the default of %s is not %s", name, want.GoString())
					}
				}
			}
			if len(m.Blocks("variable", name)) == 0 {
				say(g.cloud, "it has no variable %s", name)
			}
		}
		for _, o := range m.Blocks("output", "spare_address") {
			if !refersInstance(attr(o, "value"), g.address, "spare") {
				say(at(o.DefRange()), "spare_address is not the spare %s", g.address)
			}
		}
	}
}
