// Command sallyport is a forward proxy that puts Salesforce access tokens into API calls, and the command line that
// operates it. `sallyport --help` lists the commands.
package main

import "os"

// version and commit are set by the linker (-X main.version=… -X main.commit=…).
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
