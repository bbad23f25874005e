// Package tools pins Helm, which renders and packages deploy/helm, as the tool
// directive of a module of its own: its dependencies meet nothing else's.
package tools
