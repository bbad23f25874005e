package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// provider serves what a plan and an apply ask for. What else the protocol has is
// in the embedded interface, which is nil: nobody calls it.
type provider struct {
	tfprotov6.ProviderServer

	name      string
	resources map[string]resource
}

// GetMetadata tells the resources' names.
func (p provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	resp := &tfprotov6.GetMetadataResponse{}
	for name := range p.resources {
		resp.Resources = append(resp.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	return resp, nil
}

// GetProviderSchema tells all schemas, the three providers' in one.
func (p provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	own := map[string][]string{"aws": {"region"}, "google": {"project", "region"}, "azurerm": {"subscription_id"}}
	block := &tfprotov6.SchemaBlock{}
	for _, name := range own[p.name] {
		block.Attributes = append(block.Attributes, &tfprotov6.SchemaAttribute{Name: name, Type: tftypes.String, Optional: true})
	}
	if p.name == "azurerm" {
		block.BlockTypes = append(block.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: "features", Block: &tfprotov6.SchemaBlock{}, Nesting: tfprotov6.SchemaNestedBlockNestingModeList, MinItems: 1, MaxItems: 1,
		})
	}
	resp := &tfprotov6.GetProviderSchemaResponse{Provider: &tfprotov6.Schema{Block: block}, ResourceSchemas: map[string]*tfprotov6.Schema{}}
	for name, r := range p.resources {
		resp.ResourceSchemas[name] = r.schema
	}
	return resp, nil
}

// GetResourceIdentitySchemas tells that there are none.
func (provider) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

// ValidateProviderConfig takes any.
func (provider) ValidateProviderConfig(_ context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: req.Config}, nil
}

// ConfigureProvider does nothing.
func (provider) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

// StopProvider does nothing.
func (provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

// ValidateResourceConfig takes any: types and required arguments are the core's
// to check.
func (provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

// UpgradeResourceState reads a state as it was written.
func (p provider) UpgradeResourceState(_ context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	kind := p.resources[req.TypeName].schema.ValueType()
	v, err := req.RawState.Unmarshal(kind)
	if err != nil {
		return nil, fmt.Errorf("reading the state of a %s: %w", req.TypeName, err)
	}
	d, err := tfprotov6.NewDynamicValue(kind, v)
	if err != nil {
		return nil, fmt.Errorf("writing the state of a %s: %w", req.TypeName, err)
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &d}, nil
}

// ReadResource finds everything as it was.
func (provider) ReadResource(_ context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, Private: req.Private}, nil
}
