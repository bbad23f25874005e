package main

import (
	_ "embed" // schemas.txt
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed schemas.txt
var schemas string

// resource is what the stub knows of a type of resource.
type resource struct {
	schema *tfprotov6.Schema
	anew   map[string]bool // arguments that another resource must be made for
}

// types are the words of schemas.txt.
func types() map[string]tftypes.Type {
	return map[string]tftypes.Type{
		"string": tftypes.String,
		"number": tftypes.Number,
		"bool":   tftypes.Bool,
		"list":   tftypes.List{ElementType: tftypes.String},
		"set":    tftypes.Set{ElementType: tftypes.String},
		"map":    tftypes.Map{ElementType: tftypes.String},
	}
}

// readSchemas reads schemas.txt. It fails with the first line that it can't read.
func readSchemas() (map[string]resource, error) {
	out := map[string]resource{}
	var block *tfprotov6.SchemaBlock
	var current resource
	for line := range strings.Lines(schemas) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] != ' ':
			block = &tfprotov6.SchemaBlock{}
			current = resource{schema: &tfprotov6.Schema{Block: block}, anew: map[string]bool{}}
			out[line] = current
		case strings.Contains(line, "{"):
			block.BlockTypes = append(block.BlockTypes, nested(line))
		default:
			var name, mark string
			if _, err := fmt.Sscan(line, &name, &mark); err != nil {
				return nil, fmt.Errorf("schemas.txt: %q: %w", line, err)
			}
			kind := types()[strings.TrimRight(mark, "?!*")]
			if kind == nil {
				return nil, fmt.Errorf("schemas.txt: %q has no known type", line)
			}
			current.anew[name] = strings.Contains(mark, "*")
			block.Attributes = append(block.Attributes, &tfprotov6.SchemaAttribute{
				Name: name, Type: kind,
				Required: !strings.ContainsAny(mark, "?!"), Optional: strings.Contains(mark, "?"), Computed: strings.Contains(mark, "!"),
			})
		}
	}
	return out, nil
}

// nested reads "name{a:bool b:string}": a list of blocks, all of whose arguments
// are optional.
func nested(line string) *tfprotov6.SchemaNestedBlock {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), "{")
	block := &tfprotov6.SchemaBlock{}
	for _, field := range strings.Fields(strings.TrimSuffix(rest, "}")) {
		arg, kind, _ := strings.Cut(field, ":")
		block.Attributes = append(block.Attributes, &tfprotov6.SchemaAttribute{Name: arg, Type: types()[kind], Optional: true})
	}
	return &tfprotov6.SchemaNestedBlock{TypeName: name, Block: block, Nesting: tfprotov6.SchemaNestedBlockNestingModeList}
}
