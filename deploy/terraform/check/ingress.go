package check

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// noOpenIngress judges what stands in the text. What a variable brings is judged
// by nobody here: no module has such a variable.
func noOpenIngress(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		for _, b := range m.Blocks("resource") {
			for _, in := range ingress(b) {
				if source, open := openSource(in); open {
					say(at(in.DefRange()), "%s %q lets %s in", b.Labels[0], b.Labels[1], source)
				}
			}
		}
	}
}

// ingress are the blocks of a resource that let somebody in.
func ingress(b *hclsyntax.Block) []*hclsyntax.Block {
	switch b.Labels[0] {
	case "aws_security_group", "aws_default_security_group", "aws_network_acl", "aws_default_network_acl":
		return inner(b, "ingress")
	case "aws_security_group_rule":
		if text(attr(b, "type")) != "egress" {
			return []*hclsyntax.Block{b}
		}
	case "aws_network_acl_rule":
		if !is(attr(b, "egress"), cty.True) {
			return []*hclsyntax.Block{b}
		}
	case "aws_vpc_security_group_ingress_rule":
		return []*hclsyntax.Block{b}
	case "google_compute_firewall":
		if text(attr(b, "direction")) != "EGRESS" && len(inner(b, "deny")) == 0 {
			return []*hclsyntax.Block{b}
		}
	case "azurerm_network_security_group":
		return slices.DeleteFunc(inner(b, "security_rule"), func(r *hclsyntax.Block) bool { return !azureAllows(r) })
	case "azurerm_network_security_rule":
		if azureAllows(b) {
			return []*hclsyntax.Block{b}
		}
	}
	return nil
}

func azureAllows(rule *hclsyntax.Block) bool {
	return text(attr(rule, "direction")) != "Outbound" && text(attr(rule, "access")) != "Deny"
}

// openSource is the source of a rule that stands for everybody.
func openSource(rule *hclsyntax.Block) (string, bool) {
	for _, name := range []string{
		"cidr_blocks", "ipv6_cidr_blocks", "cidr_block", "ipv6_cidr_block", "cidr_ipv4", "cidr_ipv6",
		"source_ranges", "source_address_prefix", "source_address_prefixes",
	} {
		for _, s := range literals(attr(rule, name)) {
			if slices.Contains([]string{"0.0.0.0/0", "::/0", "*", "Internet", "Any"}, s) {
				return s, true
			}
		}
	}
	return "", false
}
