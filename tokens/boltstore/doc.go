// Package boltstore keeps everything in one bbolt file, for one process: the
// records of grants (tokens.Store), the claims (tokens.Claims), the history
// (tokens.History), the registry's document and some values that are made once.
//
// Each start is a new store identity, since nobody knows what became of the
// file between two starts; the lock of the file says that the former process is
// gone. Every write is one transaction with its fsync. It uses Update and never
// Batch, which waits up to 10 ms for company.
//
// After a write or an fsync that failed for any other reason than a full disk,
// the kernel may have dropped pages that bbolt believes written: no further
// write is tried ([ErrFailed]), reads go on.
package boltstore
