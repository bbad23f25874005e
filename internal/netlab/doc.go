// Package netlab proves in network namespaces by which addresses sallyport
// leaves: real processes, each on a machine of its own as far as the kernel is
// concerned, in front of a simulated Salesforce that sees where they come from.
// It has tests only. They need root, iproute2 and nftables.
package netlab
