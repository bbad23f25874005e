// Package journal is the write-ahead file that keeps what nobody can give back:
// the intents of exchanges and the raw answers of the token endpoint, sealed,
// and fsynced before anyone acts on them. It implements tokens.Journal.
//
// A journal is a directory of numbered files, of which one is written to. Each
// write is one frame: magic, length, how much of the file was known to be
// durable at the time, CRC32C, and a line of JSON. Writers that come together
// share one fsync.
//
// # What a fault does
//
// A torn tail was never promised to anyone and is dropped. Damage below what a
// later frame calls durable was promised: it is kept, reported by
// [Journal.Entries] as a [*CorruptError] after everything that can still be
// read, and no exchange begins until a person has looked.
//
// An fsync that failed is never repeated on its file, since the kernel has
// dropped the pages (https://wiki.postgresql.org/wiki/Fsync_Errors): the wanted
// lines go to a new file, which names its predecessor and where that one ends,
// and Begin refuses from then on. A start rewrites all that is still wanted
// into a fresh file, so that nothing rests on pages that an earlier process
// left behind.
//
// # What is not promised
//
// A byte that flips in the very last frame looks like a torn tail. Settle isn't
// fsynced by itself: after a loss of power an entry may come back unsettled,
// which costs one idempotent commit.
package journal
