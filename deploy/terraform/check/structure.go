package check

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func noProviders(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules(append(clouds(), "modules")...) {
		for _, p := range m.Blocks("provider") {
			say(at(p.DefRange()), "a provider is the caller's to configure")
		}
	}
}

// versionsPinned wants required_version everywhere, and of each provider a
// source and a version that a next major release isn't.
func versionsPinned(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules() {
		required := false
		pinned := map[string]bool{}
		for _, settings := range m.Blocks("terraform") {
			required = required || text(attr(settings, "required_version")) != ""
			for _, providers := range inner(settings, "required_providers") {
				for name, a := range providers.Body.Attributes {
					pinned[name] = true
					if v := field(a.Expr, "version"); !strings.Contains(v, "~>") && !strings.Contains(v, "<") {
						say(at(a.NameRange), "version %q of provider %s has no upper bound", v, name)
					}
					if field(a.Expr, "source") == "" {
						say(at(a.NameRange), "provider %s has no source", name)
					}
				}
			}
		}
		if !required {
			say(m.Dir, "no required_version")
		}
		for _, b := range slices.Concat(m.Blocks("resource"), m.Blocks("data")) {
			if name, _, _ := strings.Cut(b.Labels[0], "_"); name != "terraform" && !pinned[name] {
				say(at(b.DefRange()), "provider %s is not in required_providers", name)
			}
		}
	}
}

// field is a constant text in an object.
func field(e hclsyntax.Expression, name string) string {
	object, ok := e.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return ""
	}
	for _, item := range object.Items {
		if text(item.KeyExpr) == name {
			return text(item.ValueExpr)
		}
	}
	return ""
}

// logicIsFree keeps what is in modules/ testable without a provider.
func logicIsFree(t Tree, say func(string, string, ...any)) {
	for _, m := range t.Modules("modules") {
		for _, b := range slices.Concat(m.Blocks("resource"), m.Blocks("data"), m.Blocks("module")) {
			say(at(b.DefRange()), "%s in a module of logic", b.Type)
		}
		for _, settings := range m.Blocks("terraform") {
			if len(inner(settings, "required_providers")) > 0 {
				say(at(settings.DefRange()), "required_providers in a module of logic")
			}
		}
	}
}

func examplesThere(t Tree, say func(string, string, ...any)) {
	for _, cloud := range clouds() {
		example := t[path.Join("examples", cloud)]
		calls := slices.ContainsFunc(example.Blocks("module"), func(b *hclsyntax.Block) bool {
			return text(attr(b, "source")) == "../../"+cloud
		})
		if !calls {
			say(cloud, "examples/%s doesn't call it", cloud)
		}
		if len(example.Blocks("provider")) == 0 {
			say(cloud, "examples/%s configures no provider", cloud)
		}
	}
}
