// Package tools pins OpenTofu, which checks deploy/terraform, as the tool
// directive of a module of its own: its dependencies, with a fork of HCL among
// them, get in nobody's way here. deploy/terraform/check.sh builds it into bin/;
// nothing imports this package.
package tools
