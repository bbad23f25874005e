// Package model holds a model of the protocol that package tokens speaks, for
// the model checker spin: rotation.pml, and table.txt with the environments in
// which it must be clean and the mutations, each a rule left out, that must be
// caught. `make model` runs them, and `go test -tags model ./internal/model -v
// -args -only dump` those whose name matches; a model that catches nothing is
// not a model.
//
// The ordinary tests of this package compare the model with the code: every
// state and event with tokens.Record.Apply, tokens.Heal and
// tokens.Committed.Over, and every name of a rule with what package tokens
// declares. They fail when either side changes alone.
package model
