// Command stub stands in for the providers aws, google and azurerm, so that the
// modules can be planned and applied on a machine that can't have those. It has
// the arguments of the real ones and none of their knowledge: it takes every
// value of the right type and makes addresses up. What it can show is that names
// and types are right, and what Terraform would create, replace or refuse to
// destroy; what a cloud would say, it can't.
//
// The end of its own name says which provider it is.
package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

func main() {
	if err := run(filepath.Base(os.Args[0])); err != nil {
		// Who started it waits for a handshake, and takes none for a failure.
		slog.Error("the stub serves nothing", "err", err)
	}
}

// run serves the provider that the program's name says until its caller ends.
func run(program string) error {
	_, name, ok := strings.Cut(program, "terraform-provider-")
	if !ok {
		return errors.New("the program's name must be terraform-provider-NAME")
	}
	resources, err := readSchemas()
	if err != nil {
		return err
	}
	p := provider{name: name, resources: resources}
	return tf6server.Serve("registry.opentofu.org/hashicorp/"+name, func() tfprotov6.ProviderServer { return p })
}
