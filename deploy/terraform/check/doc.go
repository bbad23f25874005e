// Package check holds rules for the Terraform modules of the directory above:
// what must be so whatever a provider would say. It reads HCL and asks neither a
// provider nor a cloud.
//
// The rules are pure functions over a [Tree]. The tests of this package run them
// over the modules, break each one's subject once and demand to see it red, and
// hold the values that the modules make against the product's own parsers.
package check
