// Package goreleaser pins the programs that make a release, goreleaser and
// cyclonedx-gomod, as the tool directives of a module of its own: they bring
// more modules than all other tools together. deploy/packages/check.sh builds
// them into bin/; nothing imports this package.
package goreleaser
