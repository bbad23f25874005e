// Package clients runs real, unmodified Salesforce clients against a simulated
// Salesforce, through sallyport, while sessions end every few seconds. Each
// directory holds what an ordinary user of one client would write; the test runs
// all of them at once and asks Salesforce's ledger what it saw of them.
//
// `make clients` installs what they need and runs them. The npm packages go to a
// directory of their own in the user's cache; nothing that is installed lies in
// the repository.
package clients
