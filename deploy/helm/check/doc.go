// Package check holds sallyport's Helm chart to what it promises. Its tests
// render it as Helm does, decode the result as Kubernetes would, strictly, and
// start the binary with what a pod would give it. It is a module of its own, so
// that Kubernetes' types never reach the product's go.mod.
package check
