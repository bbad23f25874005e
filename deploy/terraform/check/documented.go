package check

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func variablesDocumented(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		for _, v := range m.Blocks("variable") {
			if attr(v, "type") == nil || hcl.ExprAsKeyword(attr(v, "type")) == "any" {
				say(at(v.DefRange()), "variable %q has no type", v.Labels[0])
			}
			if text(attr(v, "description")) == "" {
				say(at(v.DefRange()), "variable %q has no description", v.Labels[0])
			}
		}
	}
}

func outputsDocumented(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		for _, o := range m.Blocks("output") {
			if text(attr(o, "description")) == "" {
				say(at(o.DefRange()), "output %q has no description", o.Labels[0])
			}
		}
	}
}

// variablesValidated wants a validation of each variable that isn't a bool, in
// its own module or in the one that it is handed to as it is.
func variablesValidated(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		for _, v := range m.Blocks("variable") {
			if hcl.ExprAsKeyword(attr(v, "type")) != "bool" && !validated(t, m, v.Labels[0], 0) {
				say(at(v.DefRange()), "variable %q has no validation, here or where it is handed to", v.Labels[0])
			}
		}
	}
}

// validated reports whether a variable is validated in m or in a local module
// that gets it unchanged. Modules don't call each other in circles, and depth
// ends it where broken ones do.
func validated(t Tree, m *Module, name string, depth int) bool {
	if m == nil || depth > 4 {
		return false
	}
	for _, v := range m.Blocks("variable", name) {
		if len(inner(v, "validation")) > 0 {
			return true
		}
	}
	for _, call := range m.Blocks("module") {
		source := text(attr(call, "source"))
		if !strings.HasPrefix(source, ".") {
			continue
		}
		for _, a := range call.Body.Attributes {
			if unchanged(a.Expr, name) && validated(t, t[path.Join(m.Dir, source)], a.Name, depth+1) {
				return true
			}
		}
	}
	return false
}

// unchanged reports whether an expression is the variable, or a list of just it.
func unchanged(e hclsyntax.Expression, name string) bool {
	if list, ok := e.(*hclsyntax.TupleConsExpr); ok && len(list.Exprs) == 1 {
		e = list.Exprs[0]
	}
	t, diags := hcl.AbsTraversalForExpr(e)
	return !diags.HasErrors() && len(t) == 2 && begins(t, []string{"var", name})
}
