package check

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// addressTypes are the resources that hold a public address.
func addressTypes() []string {
	return []string{
		"aws_eip", "google_compute_address", "google_compute_global_address", "azurerm_public_ip", "azurerm_public_ip_prefix",
	}
}

// addresses are the resources of m that hold a public address.
func addresses(m *Module) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, b := range m.Blocks("resource") {
		if slices.Contains(addressTypes(), b.Labels[0]) {
			out = append(out, b)
		}
	}
	return out
}

// addressesKept wants prevent_destroy, which Terraform takes as a constant only.
func addressesKept(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		for _, b := range addresses(m) {
			kept := slices.ContainsFunc(inner(b, "lifecycle"), func(l *hclsyntax.Block) bool {
				return is(attr(l, "prevent_destroy"), cty.True)
			})
			if !kept {
				say(at(b.DefRange()), "%s %q has no prevent_destroy = true", b.Labels[0], b.Labels[1])
			}
		}
	}
}

// addressesRegistered wants every address in what the ranges are made of.
func addressesRegistered(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules(clouds()...) {
		for _, b := range addresses(m) {
			registered := slices.ContainsFunc(m.Blocks("module", "ranges"), func(r *hclsyntax.Block) bool {
				return refers(attr(r, "addresses"), b.Labels...) || refers(attr(r, "prefixes"), b.Labels...)
			})
			if !registered {
				say(at(b.DefRange()), "%s %q is not given to module.ranges", b.Labels[0], b.Labels[1])
			}
		}
	}
}
