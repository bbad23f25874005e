package tokens

import (
	"context"
	"iter"
	"time"
)

// Exchanger speaks OAuth to Salesforce. Implementations may be called by
// several goroutines at once.
type Exchanger interface {
	// Connect opens one connection to org's token endpoint, TCP and TLS done
	// and nothing sent. It fails with an [*Error] that says whether the address
	// may be used at all; any failure means that nothing was sent.
	Connect(ctx context.Context, org OrgID) (Line, error)
	// Parse reads an answer. It is pure. A refusal is a [*Refusal], whose class
	// says what it means; an answer that can't be understood is one of
	// [ClassDoubt].
	Parse(a Answer) (Issue, error)
	// Introspect asks whether a token is live (RFC 7662), once, without a
	// retry. An error is silence: it says nothing about the token.
	Introspect(ctx context.Context, org OrgID, s Subject) (Liveness, error)
	// Revoke ends a token at Salesforce (RFC 7009).
	Revoke(ctx context.Context, org OrgID, s Subject) error
}

// Line is one connection to a token endpoint, used for one request at most.
type Line interface {
	// Send asks guard right before the first byte leaves; a guard that returns
	// an error ends it with nothing sent. It reports whether a byte may have
	// left, and whatever came back, even when it was cut short by err. It never
	// sends twice, redials, or follows a redirect.
	Send(ctx context.Context, c Credential, guard func() error) (a Answer, sent bool, err error)
	// Address is the local address of the connection, without the port.
	Address() string
	Close() error
}

// Sight is what a store says of itself along with a record.
type Sight struct {
	// Identity is the store's present one.
	Identity StoreIdentity
	// Stamped is how long ago, by the store's clock, this identity was first
	// seen by any holder; very long where nothing was in the store before.
	Stamped time.Duration
	// Exclusive says that no other process can hold or have held the store
	// under this identity, so that a changed one needs no settling.
	Exclusive bool
}

// Store keeps the records, each sealed where it holds secrets. Implementations
// may be called by several goroutines at once.
type Store interface {
	// Load reads a record. It promises nothing about its freshness.
	// [ErrUnknownOrg] where there is none.
	Load(ctx context.Context, org OrgID) (Record, error)
	// Hold runs fn while no other process holds org, and returns its error.
	// fn's ctx does not end with the hold: [Hold.Lost] says so. The hold is no
	// proof against a second holder; [Hold.Save] is. It fails with ctx's error
	// where the lock wasn't to be had in time.
	Hold(ctx context.Context, org OrgID, fn func(context.Context, Hold) error) error
	// Commit writes an answer over what the store holds, as [Committed.Over]
	// decides, in one atomic step, fenced or not, and is idempotent by attempt.
	// [ErrUnknown]: it may have landed; trying again is safe and asks for the
	// acknowledgements again.
	Commit(ctx context.Context, org OrgID, c Committed) (Record, Landing, error)
	// All yields every record.
	All(ctx context.Context) iter.Seq2[Record, error]
}

// Watcher tells what is written to a store, so that every replica holds a copy
// of every record and nobody who waits has to poll for it.
type Watcher interface {
	// Watch calls heard, one call at a time, with each record that any process
	// writes to the store, until ctx ends, and returns ctx's error. It goes on by
	// itself after a lost connection. Not promised: that every record is heard,
	// or in order, or only once.
	Watch(ctx context.Context, heard func(Record)) error
}

// Want is an exchange that a replica needs and may not make itself.
type Want struct {
	Org   OrgID  `json:"org"`
	Stale Place  `json:"stale"` // a token of a newer place is wanted
	Cause string `json:"cause"`
}

// Asker carries wants between replicas. Not promised: that anybody hears one.
type Asker interface {
	// Ask tells the other replicas.
	Ask(ctx context.Context, w Want) error
	// Asked calls wanted with what the others ask for, one call at a time, until
	// ctx ends, and returns ctx's error.
	Asked(ctx context.Context, wanted func(Want)) error
}

// Spool keeps answers in the store, sealed, for a process whose own disk may
// not outlive it.
type Spool interface {
	// Keep writes e with its answer, durable as a commit is, and replaces an
	// older one of the same attempt.
	Keep(ctx context.Context, e Entry) error
	// Kept yields what is kept, of all replicas.
	Kept(ctx context.Context) iter.Seq2[Entry, error]
	// Drop removes what is kept of an attempt. Dropping nothing is no error.
	Drop(ctx context.Context, org OrgID, id AttemptID) error
}

// Hold is one hold of an org's lock. It is used by one goroutine.
type Hold interface {
	// Record is the record as read in one step with the lock, the zero Record
	// where the store has none, or as last saved by this hold.
	Record() (Record, Sight)
	// Save writes r if the store still holds the very record that this hold
	// read or saved last, under the same identity and no newer fence. It raises
	// Revision and sets Fence itself. [ErrFenced]: it holds another; nothing
	// was written. [ErrUnknown]: it may have landed. [ErrShort], which is an
	// ErrUnknown: it has, and too few copies of it are known to exist.
	Save(ctx context.Context, r Record) error
	// Fence is the number that came with the lock. It only grows.
	Fence() uint64
	// Lost is closed when the lock was lost.
	Lost() <-chan struct{}
}

// Claims says which org holds or held which refresh token, for all orgs of a
// store. A claim is never given back.
type Claims interface {
	// Claim marks names as org's in one atomic step. [ErrClaimed] where another
	// org has one of them.
	Claim(ctx context.Context, org OrgID, names []string) error
	// Claimant says who has name, empty where nobody has.
	Claimant(ctx context.Context, name string) (OrgID, error)
}

// History keeps the exchanges of an org to be read, a bounded number.
type History interface {
	Append(ctx context.Context, e Exchange) error
}

// Exchange is one line of the history.
type Exchange struct {
	Time       time.Time     `json:"time"`
	Org        OrgID         `json:"org"`
	Epoch      int64         `json:"epoch"`
	Generation int64         `json:"generation"`
	Attempt    AttemptID     `json:"attempt"`
	Reason     string        `json:"reason"`
	Replica    string        `json:"replica"`
	Outcome    string        `json:"outcome"`
	Race       string        `json:"race"`
	Winner     string        `json:"winner,omitempty"` // the replica to which the race was lost
	Detail     string        `json:"detail,omitempty"`
	Waiters    int           `json:"waiters"`
	LockWait   time.Duration `json:"lockWait"`
	Duration   time.Duration `json:"duration"`
	Margin     float64       `json:"leaseMargin"` // of what the attempt might last, left at the commit
	Trace      string        `json:"traceId,omitempty"`

	Origin     string        `json:"origin,omitempty"`     // the trace id of the call that caused it
	Address    string        `json:"address,omitempty"`    // of the connection to Salesforce
	Answer     string        `json:"answer,omitempty"`     // AnswerToken, AnswerRefusal or AnswerNone; empty: nothing was sent
	AnswerTime time.Duration `json:"answerTime,omitempty"` // from the first byte to the last of the answer
}

// What came back, in [Exchange.Answer].
const (
	AnswerToken   = "token"   // a token
	AnswerRefusal = "refusal" // anything else
	AnswerNone    = "none"    // not a byte
)

// EntryKind says what a journal entry is about.
type EntryKind string

// The kinds of a journal entry.
const (
	EntryIntent    EntryKind = "intent"    // an exchange is about to be sent
	EntryEnrolment EntryKind = "enrolment" // an authorisation or an import
)

// Entry is one attempt in the journal, with whatever is known of it by now.
// Its secrets are sealed; the journal seals the answer itself.
type Entry struct {
	Attempt    AttemptID
	Org        OrgID
	Replica    string
	Deployment string
	Kind       EntryKind
	Base       Place
	Identity   StoreIdentity
	Record     Record // as it was saved with the intent; of an import, as it is to be committed
	// Answer is what came back, nil if none was journalled.
	Answer Answer
	// Settled says that the store has all of it, or that nothing came of it.
	Settled bool
	Outcome Outcome
}

// Journal is a durable file beside the process. Each write returns after its
// fsync. It may be used by several goroutines at once. After a failed fsync
// every write fails with [ErrDegraded] but Answer and Settle, which go on in a
// new file where they can.
type Journal interface {
	// Begin writes an intent or an enrolment and reserves the room for its
	// answer.
	Begin(e Entry) error
	// Answer writes what came back, sealed, before anyone reads it.
	Answer(id AttemptID, a Answer) error
	// Settle marks an attempt. The newest answer and the newest intent of an
	// org stay readable all the same, until newer ones replace them.
	Settle(id AttemptID, o Outcome) error
	// Entries yields what is kept, oldest first.
	Entries() iter.Seq2[Entry, error]
	// Forget destroys every secret of org that the journal keeps.
	Forget(org OrgID) error
}

// Directory says what the registry knows about orgs. Its methods are cheap and
// called on each request.
type Directory interface {
	// Settings of an org; false where it isn't registered.
	Settings(org OrgID) (Settings, bool)
}

// Sealer seals what is written down. The org and the field are bound to it, so
// that a sealed value moved elsewhere doesn't open.
type Sealer interface {
	Seal(plain []byte, org, field string) ([]byte, error)
	Open(sealed []byte, org, field string) ([]byte, error)
}

// Fingerprinter makes keyed fingerprints of tokens.
type Fingerprinter interface {
	Of(token string) string
}

// The fields under which a record's secrets are sealed.
const (
	FieldRefresh = "refresh_token"
	FieldAccess  = "access_token"
	FieldAnswer  = "answer"
)
