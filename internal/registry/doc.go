// Package registry keeps the live apps, orgs and clients: what an operator applied, persisted sealed through a [Store],
// and read through an immutable [Snapshot] that is replaced as a whole after each change.
//
// Readers never wait for a change and never see half of one. Changes go one after the other, each is validated whole,
// and all faults of one change are reported at once by an [InvalidError]; on a fault nothing is applied.
package registry
