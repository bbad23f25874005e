package check

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// attr is the expression of an attribute, nil where it isn't there.
func attr(b *hclsyntax.Block, name string) hclsyntax.Expression {
	if a := b.Body.Attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}

// constant is the value of an expression that refers to nothing, and nil for any
// other and for none.
func constant(e hclsyntax.Expression) *cty.Value {
	if e == nil || len(e.Variables()) > 0 {
		return nil
	}
	v, diags := e.Value(nil)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return nil
	}
	return &v
}

// text is a constant text, empty where an expression is none.
func text(e hclsyntax.Expression) string {
	if v := constant(e); v != nil && !v.IsNull() && v.Type() == cty.String {
		return v.AsString()
	}
	return ""
}

// is reports whether an expression is this constant.
func is(e hclsyntax.Expression, want cty.Value) bool {
	v := constant(e)
	return v != nil && v.RawEquals(want)
}

// inner are the blocks of a type right within b.
func inner(b *hclsyntax.Block, kind string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, in := range b.Body.Blocks {
		if in.Type == kind {
			out = append(out, in)
		}
	}
	return out
}

// refers reports whether an expression mentions path, such as "aws_eip".
func refers(e hclsyntax.Expression, path ...string) bool {
	if e == nil {
		return false
	}
	return slices.ContainsFunc(e.Variables(), func(t hcl.Traversal) bool { return begins(t, path) })
}

// refersInstance reports whether an expression mentions the instance of a
// resource of this type that has this key.
func refersInstance(e hclsyntax.Expression, kind, key string) bool {
	if e == nil {
		return false
	}
	return slices.ContainsFunc(e.Variables(), func(t hcl.Traversal) bool {
		if len(t) < 3 || t.RootName() != kind {
			return false
		}
		index, ok := t[2].(hcl.TraverseIndex)
		return ok && index.Key.RawEquals(cty.StringVal(key))
	})
}

// begins reports whether a traversal is path, or goes on from there.
func begins(t hcl.Traversal, path []string) bool {
	if len(t) < len(path) {
		return false
	}
	for i, name := range path {
		switch step := t[i].(type) {
		case hcl.TraverseRoot:
			if step.Name != name {
				return false
			}
		case hcl.TraverseAttr:
			if step.Name != name {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// literals are the constant texts anywhere in an expression.
func literals(e hclsyntax.Expression) []string {
	var out []string
	if e == nil {
		return nil
	}
	// The function finds no fault, so the walk ends with none.
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && !l.Val.IsNull() && l.Val.Type() == cty.String {
			out = append(out, l.Val.AsString())
		}
		return nil
	})
	return out
}
