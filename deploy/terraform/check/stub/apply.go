package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// PlanResourceChange leaves what the provider tells open in a new resource, and
// asks for another resource where an argument can't change.
func (p provider) PlanResourceChange(_ context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	r := p.resources[req.TypeName]
	kind := r.schema.ValueType()
	prior, err := attributes(req.PriorState, kind)
	if err != nil {
		return nil, err
	}
	next, err := attributes(req.ProposedNewState, kind)
	if err != nil || next == nil {
		return &tfprotov6.PlanResourceChangeResponse{PlannedState: req.ProposedNewState}, err
	}
	resp := &tfprotov6.PlanResourceChangeResponse{}
	for _, a := range r.schema.Block.Attributes {
		if prior == nil {
			if a.Computed && next[a.Name].IsNull() {
				next[a.Name] = tftypes.NewValue(a.Type, tftypes.UnknownValue)
			}
		} else if r.anew[a.Name] && !next[a.Name].Equal(prior[a.Name]) {
			resp.RequiresReplace = append(resp.RequiresReplace, tftypes.NewAttributePath().WithAttributeName(a.Name))
		}
	}
	d, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, next))
	resp.PlannedState = &d
	return resp, err
}

// ApplyResourceChange makes up what is open.
func (p provider) ApplyResourceChange(_ context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	r := p.resources[req.TypeName]
	kind := r.schema.ValueType()
	next, err := attributes(req.PlannedState, kind)
	if err != nil || next == nil {
		return &tfprotov6.ApplyResourceChangeResponse{NewState: req.PlannedState}, err
	}
	for _, a := range r.schema.Block.Attributes {
		if next[a.Name].IsKnown() {
			continue
		}
		var v any
		if a.Type.Is(tftypes.String) {
			v = madeUp(req.TypeName, a.Name, next)
		}
		next[a.Name] = tftypes.NewValue(a.Type, v)
	}
	d, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, next))
	return &tfprotov6.ApplyResourceChangeResponse{NewState: &d}, err
}

// attributes are those of a resource, nil of none.
func attributes(d *tfprotov6.DynamicValue, kind tftypes.Type) (map[string]tftypes.Value, error) {
	v, err := d.Unmarshal(kind)
	if err != nil || v.IsNull() {
		return nil, err
	}
	var out map[string]tftypes.Value
	if err := v.As(&out); err != nil {
		return nil, fmt.Errorf("reading a resource: %w", err)
	}
	return maps.Clone(out), nil
}

// madeUp is a value that follows from the resource's name. Addresses of Azure lie
// in its prefix: the spare at the end, the others from the start.
func madeUp(kind, attribute string, r map[string]tftypes.Value) string {
	name := nameOf(r)
	sum := fnv.New32a()
	fmt.Fprint(sum, kind, name)
	switch attribute {
	case "ip_prefix":
		return "203.0.113.64/31"
	case "ip_address":
		if strings.HasSuffix(name, "spare") {
			return "203.0.113.65"
		}
		return "203.0.113.64"
	case "public_ip", "address":
		return fmt.Sprintf("198.51.100.%d", sum.Sum32()%256)
	}
	return fmt.Sprintf("%s-%s-%x", kind, name, sum.Sum32())
}

// nameOf is a resource's name, or its Name tag.
func nameOf(r map[string]tftypes.Value) string {
	var name *string
	if v, ok := r["name"]; ok && v.As(&name) == nil && name != nil {
		return *name
	}
	var tags map[string]tftypes.Value
	if v, ok := r["tags"]; ok && v.As(&tags) == nil {
		if v, ok := tags["Name"]; ok && v.As(&name) == nil && name != nil {
			return *name
		}
	}
	return ""
}
