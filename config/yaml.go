package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/sallyport/sallyport/internal/registry"
)

// maxNesting is how deep a resources file may nest: its schema needs five levels, and the parser's time grows with the
// square of the depth.
const maxNesting = 32

// maxIndent is the deepest indentation in spaces, which bounds the nesting of blocks over many lines.
const maxIndent = 256

// parseYAML returns the root of the one document in b, nil when there is none. It returns a fault for what is no YAML,
// and for anchors, aliases and tags, which the file has no use for: without aliases nothing can grow on being read.
func parseYAML(b []byte) (ast.Node, []registry.Fault) {
	one := func(line int, format string, args ...any) (ast.Node, []registry.Fault) {
		return nil, []registry.Fault{{Line: line, Message: fmt.Sprintf(format, args...)}}
	}
	tokens := lexer.Tokenize(string(b))
	if f := forbidden(tokens); f != nil {
		return nil, f
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		// The error's own text quotes the source, and with it secrets.
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			return one(syntax.Token.Position.Line, "it is no YAML: %s", syntax.Message)
		}
		return one(0, "it is no YAML")
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || isEmpty(doc.Body) {
			continue
		}
		if root != nil {
			return one(doc.Body.GetToken().Position.Line, "there is a second document; write one only")
		}
		root = doc.Body
	}
	return root, nil
}

func isEmpty(n ast.Node) bool {
	switch n.(type) {
	case *ast.CommentGroupNode, *ast.CommentNode, *ast.NullNode:
		return true
	}
	return false
}

// forbidden finds the tokens that a resources file has no use for, before the parser spends time on them.
func forbidden(tokens token.Tokens) []registry.Fault {
	var faults []registry.Fault
	flow, line, onLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			faults = append(faults, registry.Fault{Line: line, Message: "anchors, aliases and merge keys are not taken; write the value out"})
		case token.TagType, token.DirectiveType:
			faults = append(faults, registry.Fault{Line: line, Message: "tags and directives are not taken; quote a value that begins with ! or %"})
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			onLine++
		}
		if flow > maxNesting || onLine > maxNesting || t.Position.IndentNum > maxIndent {
			return append(faults, registry.Fault{Line: line, Message: "it nests too deep"})
		}
	}
	return faults
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value ast.Node // Nil for an empty value.
}

// entries returns the entries of a mapping, or false when n is none.
func entries(n ast.Node) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, false
	}
	var list []entry
	for _, v := range values {
		e := entry{line: v.Key.GetToken().Position.Line, value: v.Value}
		if s, ok := v.Key.(ast.ScalarNode); ok {
			e.key = fmt.Sprint(s.GetValue())
		}
		if isEmpty(v.Value) {
			e.value = nil
		}
		list = append(list, e)
	}
	return list, true
}

// scalar returns the text of a scalar as it was written, without quotes, and whether it was quoted.
func scalar(n ast.Node) (text string, quoted, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		t := n.GetToken().Type
		return n.Value, t == token.SingleQuoteType || t == token.DoubleQuoteType, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}
