package main

// adapterMutants are of sockets and of the embedded store: cases 18, 35, 36, 37,
// 54, 56.
var adapterMutants = []mutant{
	one("what was not delivered is dropped at the close", []int{54}, "internal/egress/conn.go",
		`	if err := c.SetLinger(0); err != nil {`, `	if err := c.SetLinger(-1); err != nil {`,
		inEgress, "TestFailure54"),
	one("a kernel gives up what nobody acknowledges", []int{54}, "internal/egress/conn.go",
		`return setUserTimeout(c, userTimeout)`, `return setUserTimeout(c, 0)`,
		inEgress, "TestTheSocketOfATokenRequestIsDroppedOnClose"),
	one("a peer that is gone is found", []int{8}, "internal/egress/dial.go",
		`net.KeepAliveConfig{Enable: true,`, `net.KeepAliveConfig{Enable: false,`,
		inEgress, "TestTheSocketOfATokenRequestIsDroppedOnClose"),
	one("a hold that ended writes nothing", []int{35}, "tokens/boltstore/hold.go",
		`	if h.ended.Load() {`, `	if h.ended.Load() && h.s == nil {`,
		inBolt, "TestFailure35"),
	{cases: []int{36}, guard: "a fence is one org's", file: "tokens/boltstore/hold.go", edits: []edit{
		{`return tx.Bucket(bucketFences).Put([]byte(h.org), binary`, `return tx.Bucket(bucketFences).Put([]byte("*"), binary`},
		{`b := tx.Bucket(bucketFences).Get([]byte(org))`, `b := tx.Bucket(bucketFences).Get([]byte("*"))`},
	}, pkg: inBolt, tests: "TestFailure36"},
	one("a disk that failed is not written to again", []int{18}, "tokens/boltstore/errors.go",
		"\tif s.failed.Load() {\n\t\treturn ErrFailed\n\t}\n", "",
		inBolt, "TestFailure18ADisk"),
	one("a failed transaction may have landed", []int{18, 37}, "tokens/boltstore/errors.go",
		`return fmt.Errorf("%w: %w: %w", tokens.ErrUnknown, ErrFailed, err)`, `return fmt.Errorf("%w: %w", ErrFailed, err)`,
		inBolt, "TestFailure18"),
	one("a commit that failed is no commit", []int{37}, "tokens/boltstore/records.go",
		"\tif err != nil {\n\t\treturn tokens.Record{}, tokens.LandedNowhere, fmt.Errorf(\"commit the answer", "\tif err != nil && landing == tokens.LandedNowhere {\n\t\treturn tokens.Record{}, tokens.LandedNowhere, fmt.Errorf(\"commit the answer",
		inBolt, "TestFailure37"),
	one("the embedded store has one process", []int{56}, "cmd/sallyport/store.go",
		`if errors.Is(err, boltstore.ErrLocked) {`, `if errors.Is(err, boltstore.ErrFull) {`,
		inCmd, "TestFailure56"),
}
