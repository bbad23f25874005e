// Package tools pins the programs that check sallyport, golangci-lint and
// benchstat, as the tool directives of a module of its own, so that their
// hundreds of dependencies never reach the product's go.mod. The Makefile
// builds them into bin/; nothing imports this package.
package tools
