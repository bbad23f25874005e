package journal_test

import (
	"fmt"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// An answer survives the machine from the return of Answer on.
func ExampleOpen() {
	disk := crashfs.New(1)
	j, err := journal.Open(journal.Options{Dir: "/state/journal", Sealer: clear{}, FS: disk})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := j.Begin(tokens.Entry{Attempt: "a1", Org: "acme", Kind: tokens.EntryIntent}); err != nil {
		fmt.Println(err)
		return
	}
	// Here the refresh token is sent, once.
	if err := j.Answer("a1", tokens.Answer("HTTP/1.1 200 OK")); err != nil {
		fmt.Println(err)
		return
	}

	j, err = journal.Open(journal.Options{Dir: "/state/journal", Sealer: clear{}, FS: disk.Crash()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()
	for e, err := range j.Entries() {
		fmt.Printf("%s %s %q settled=%v %v\n", e.Org, e.Attempt, e.Answer, e.Settled, err)
	}
	// Output:
	// acme a1 "HTTP/1.1 200 OK" settled=false <nil>
}
