package main

import "slices"

// The packages of the table.
const (
	inTokens     = "./tokens"
	inJournal    = "./tokens/journal"
	inSalesforce = "./tokens/salesforce"
	inBolt       = "./tokens/boltstore"
	inEgress     = "./internal/egress"
	inProxy      = "./proxy"
	inCmd        = "./cmd/sallyport"
	inSim        = "./internal/simtest"
)

// mutants are all of the table.
func mutants() []mutant {
	return slices.Concat(holderMutants, answerMutants, storeMutants, callMutants, doubtMutants, journalMutants, adapterMutants, redisMutants)
}

// one is a mutant of a single edit.
func one(guard string, cases []int, file, old, new, pkg, tests string) mutant {
	return mutant{cases: cases, guard: guard, file: file, edits: []edit{{old, new}}, pkg: pkg, tests: tests}
}
