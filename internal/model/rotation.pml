/* How a refresh token is exchanged, as package tokens does it: one org, NR
 * replicas, a store that may go back, Salesforce, people, faults. table.txt has
 * the environments, which must be clean, and the mutations, each a rule left
 * out, which must be caught. What a rule is called in the code stands beside it.
 *
 * There is no lock: it may be lost at any moment, so nothing may rest on it.
 * Time is abstract: over(a) says that the takeover wait for attempt a is over,
 * settled that the settling time is, and both that what they wait for can reach
 * Salesforce no more, for which those waits are chosen. An answer that was read
 * may be held back for any time, so late answers are in every environment.
 *
 * The runner defines each of these, as table.txt says:
 *   NR, NX, NF  replicas; exchanges begun in all, at most 3; faults in all
 *   FAULTS      which faults, a sum of the names below
 *   REUSE       introspecting a spent token counts as reuse; asked late then
 *   DENIED      introspection says "active: false" to everything
 *   HOLD        SALLYPORT_IN_DOUBT=hold
 *   REVALL      a revocation takes all grants of the user
 *   AUTH, IMPORT, SETTLE, REVOKE  how often a person authorises again, imports
 *               (or a seed brings) the first token again, has Salesforce asked
 *               at once, revokes
 *   MUT         the rule that is left out
 */
#define CRASH     1  /* kill -9; the disk stays */
#define DISK      2  /* kill -9; the disk is lost */
#define ANSWER    4  /* the answer is lost, or a 5xx */
#define LOSE1     8  /* failover: the store lacks its last write */
#define LOSE2    16  /* failover: it lacks the last two */
#define DUMP     32  /* an old dump is restored, every replica starts anew */
#define EMPTY    64  /* the store is emptied */
#define SPENDS  128  /* refused in a way that proves nothing, and the token is spent */
#define KEEPS   256  /* refused in a way that proves nothing, and it is not */
#define RATE    512  /* refused before the token is looked at */
#define SAVE   1024  /* the store doesn't say whether it has written an intent */
#define KEY    2048  /* the record alone is put back by hand while no request is under way: the store's identity stands; a disk is lost, all start anew */

mtype:rule = { none, no_intent, no_takeover_wait, no_settling, no_send_guard, answer_fenced, answer_ready_anywhere,
  goes_back, answer_dropped, answer_resent, refusal_ready, heal_ready, identity_ignored, verdict_anywhere, unverified_sent,
  asked_early, replay_seen, denial_believed, never_gives_up, import_unchecked, enrolment_unjournalled, orphan_revoked, revoked_in_its_epoch }
#define without(rule) (MUT == rule)
#define CHECK(ok, what) if :: !(ok) -> printf(what); assert(false) :: else fi

mtype = {
  Ready, Exchanging, InDoubt, Dead, Lost, Undecided, Revoked, Quarantined,   /* State, with the Reason of reauth_required */
  Began, Unsent, Doubted, Died, Found, Missed, Silent, Isolated, GaveUp, SentOnce, Ended,   /* Event */
  Healed, OnBase, OverOlder,                                                 /* Heal; Committed.Over, to ready or in_doubt */
  Down, Idle, Begun, Saved, Sending, Waiting, NotSent, Limited, NoAnswer, Unclear, Refused, Got, Journalled, Committed, Replay, Asked,
  Alive, Spent, Silence }                                                    /* verdict */

typedef Rec {             /* Record; st is 0 where there is none */
  mtype st; byte ep, gen, rev, tok;
  byte ver, vou,          /* Verified, Vouched: an identity of the store, 0 for none */
    att, ended;           /* Attempt; Attempts, as bits */
  bit tru, mis, rep;      /* Truthful; the doubt began with a refusal as configuration; Replayed */
  short kn }              /* Fingerprint, Earlier and Orphans, as bits */
typedef Rep {
  mtype pc, v; byte hrev, hid; bit person;   /* what it is at, its verdict, what its hold has read, who asks */
  Rec m; bit acq, jn; byte unsent;           /* org.memory, acquainted, journalled, unsent */
  Rec a; bit enr, aset;                      /* on disk: the newest answer, as it would be on its base (rep: found there); Enrolment, Settled */
  Rec i; bit iset, iref;                     /* on disk: the newest intent; Settled, a refusal is journalled */
  byte ever }                                /* the newest token that this disk has held, for the checks */
typedef Req { mtype res; byte ph, tok, id; bit own, late }
/* of an attempt. ph: 1 past the send guard, 2 on the wire, 3 worked on, 4 answered, 5 over. */

Rec R, H1, H2;            /* the store, and before its last write and the one before */
Rep P[NR]; Req Q[4];
byte id = 1, cur[2], natt, clock = 1, nx = NX, nf = NF, nauth = AUTH, nimport = IMPORT, nsettle = SETTLE, nrevoke = REVOKE;
bit sent[16], atend, on;  /* tokens are family*8 + n, and cur[family] is Salesforce's live one, 0 once it is ended */
byte k, x;                /* scratch, 0 between steps */

#define self        P[_pid]
#define fam(t)      ((t) >> 3)
#define one(t)      (1 << (t))
#define less(a,b)   ((a.ep) < (b.ep) || ((a.ep) == (b.ep) && (a.gen) < (b.gen)))   /* Place.Compare */
#define same(a,b)   ((a.ep) == (b.ep) && (a.gen) == (b.gen))
#define behind(q)   (less(R, P[q].m) || (same(R, P[q].m) && R.rev < P[q].m.rev))   /* Record.Compare */
#define flying(n)   (Q[n].ph >= 1 && Q[n].ph <= 3)
#define over(n)     (!flying(n) || without(no_takeover_wait))
#define elsewhere(n) (flying(n) && Q[n].id != id)
#define replaced    (R.ver && R.ver != id)                                          /* since it was verified */
#define settled     (!(elsewhere(1) || elsewhere(2) || elsewhere(3)) || without(no_settling))
#define under(n, t) (flying(n) && Q[n].tok == t)
#define current     (R.rev == self.hrev && (id == self.hid || without(verdict_anywhere)))   /* Hold.Save's compare-and-set */
#define mine        (current && R.st == Exchanging && R.att == self.i.att)
#define verified    ((R.ver == id && self.acq) || (without(identity_ignored) && R.ver) || without(unverified_sent))
#define spent(r)    (r.tok && cur[fam(r.tok)] && cur[fam(r.tok)] != r.tok)

inline copy(d, s) { d.st = s.st; d.ep = s.ep; d.gen = s.gen; d.rev = s.rev; d.tok = s.tok; d.ver = s.ver; d.vou = s.vou; d.att = s.att;
  d.ended = s.ended; d.mis = s.mis; d.tru = s.tru; d.rep = s.rep; d.kn = s.kn }
inline clear(d) { d.st = 0; d.ep = 0; d.gen = 0; d.rev = 0; d.tok = 0; d.ver = 0; d.vou = 0; d.att = 0; d.ended = 0; d.mis = 0; d.tru = 0; d.rep = 0; d.kn = 0 }
/* Every replica has exchanged before: token 1 is in store, journals and memories. */
inline original(d) { d.st = Ready; d.ep = 1; d.gen = 1; d.rev = 1; d.tok = 1; d.ver = 1; d.vou = 0; d.att = 0; d.ended = 0; d.mis = 0; d.tru = !DENIED; d.rep = 0; d.kn = one(1) }

/* Record.Apply, Heal and Committed.Over, as far as states go. model_test.go
 * reads these lines and compares them with the code in every state. */
inline Apply(e) { if
  :: e == Began     && (R.st == Ready) -> R.st = Exchanging
  :: e == Unsent    && (R.st == Exchanging) -> R.st = Ready
  :: e == Doubted   && (R.st == Ready || R.st == Exchanging || R.st == InDoubt) -> R.st = InDoubt
  :: e == Died      && (R.st == Exchanging) -> R.st = Dead
  :: e == Found     && (R.st == Ready || R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided || R.st == Quarantined) -> R.st = Ready
  :: e == Missed    && (R.st == Ready || R.st == InDoubt || R.st == Quarantined) -> R.st = Lost
  :: e == Silent    && (R.st == Ready) -> R.st = InDoubt
  :: e == Isolated  && (R.st == Ready || R.st == Exchanging || R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided) -> R.st = Quarantined
  :: e == GaveUp    && (R.st == InDoubt) -> R.st = Undecided
  :: e == SentOnce  && (R.st == InDoubt) -> R.st = Ready
  :: e == Ended     && (R.st == Ready || R.st == Exchanging || R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided || R.st == Revoked || R.st == Quarantined) -> R.st = Revoked
  :: e == Healed    && (R.st == Ready || R.st == Exchanging || R.st == InDoubt || R.st == Undecided) -> R.st = InDoubt
  :: e == Healed    && (R.st == Dead) -> R.st = Dead
  :: e == Healed    && (R.st == Lost) -> R.st = Lost
  :: e == Healed    && (R.st == Revoked) -> R.st = Revoked
  :: e == Healed    && (R.st == Quarantined) -> R.st = Quarantined
  :: e == OnBase    && (R.st == Ready || R.st == Exchanging || R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided || R.st == Quarantined) -> R.st = Ready
  :: e == OverOlder && (R.st == Ready || R.st == Exchanging || R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided || R.st == Revoked || R.st == Quarantined) -> R.st = InDoubt
  :: else -> CHECK(false, "VIOLATION an event that doesn't fit\n") fi }

/* Broker.remember: the greatest that was read or heard, whole. */
inline remember(q) { if :: R.st && !behind(q) -> copy(P[q].m, R) :: else fi }
/* Broker.acquaint, Broker.heard: its answer was seen as it was issued. What a store shows, or a journal, may be of any age. */
inline acquaint() { self.acq = 1; remember(_pid) }
inline heard(q) { if :: P[q].m.st && less(P[q].m, R) && !R.rep -> P[q].acq = 1 :: else fi; remember(q) }
/* A write is what stands between first and last. Whoever writes remembers it,
 * and the others hear of it or not (Watcher). */
inline first() { copy(H2, H1); copy(H1, R) }
inline last() {
  if :: R.rev < H1.rev -> R.rev = H1.rev :: else fi; R.rev++; R.kn = R.kn | H1.kn;
  CHECK(!less(R, H1), "VIOLATION forward: a record went back\n");
  CHECK(!(H1.st == Revoked && R.st != Revoked && R.ep <= H1.ep), "VIOLATION revoked: an older answer left it\n");
  CHECK((FAULTS & KEY) || !(R.st == Ready && R.ver == id && spent(R)), "VIOLATION spent: a spent token is ready and verified\n");
  k = 0; do :: k < NR -> if :: P[k].pc != Down -> if :: heard(k) :: skip fi :: else fi; k++ :: else -> break od; k = 0;
  remember(_pid) }   /* whoever wrote may hear of it first */
inline close() { if :: R.att -> if :: R.att == self.i.att -> self.iset = 1 :: else fi; R.ended = R.ended | one(R.att); R.att = 0; R.mis = 0 :: else fi }   /* Record.end, Broker.settle */
inline hold() { remember(_pid); self.hrev = R.rev; self.hid = id }
inline idle(q) { P[q].pc = Idle; P[q].v = 0; P[q].hrev = 0; P[q].hid = 0; P[q].person = 0 }
inline atLeast(n) { if :: n > x -> x = n :: else fi }
inline newEpoch() { x = R.ep; atLeast(self.m.ep); atLeast(self.a.ep); atLeast(self.i.ep); atLeast(clock); x++; clock = x }
inline enrol(t, v) {      /* Broker.newRecord, and the journal's entry */
  newEpoch(); clear(self.a); self.a.ep = x; x = 0; self.a.gen = 1; self.a.tok = t; self.a.st = Ready; self.a.ver = v; self.a.kn = one(t);
  self.enr = 1; self.aset = 0; self.ever = t; self.pc = Journalled }
/* Who acts on a wait has outwaited the send guard of whoever hasn't passed it. */
inline outwait() { if :: R.att -> Q[R.att].late = 1 :: else fi;
  if :: R.ver != id -> k = 1; do :: k <= NX -> if :: Q[k].id && Q[k].id != id -> Q[k].late = 1 :: else fi; k++ :: else -> break od; k = 0 :: else fi }

/* exchange.ask, right after the record was read. What can't be believed is
 * silence: spent is told from denied only where this app was seen to be told
 * the truth. Live counts only once the waits are over (exchange.tooEarly). */
#define live        (cur[fam(R.tok)] == R.tok)
#define mute        (DENIED || (!live && !R.tru))
#define believed    (!mute || without(denial_believed))
#define soonest     (!REUSE || atend || without(asked_early))                       /* Policy.AskAt */
#define waited      ((!R.att || R.mis || over(R.att)) && (R.ver == id || settled))  /* Policy.TakeoverAfter, Policy.SettlingTime */
#define stranger    (replaced && !self.acq && !self.jn && R.vou != id)   /* exchange.verify: a copy from elsewhere? */
#define wanted      (((R.st == InDoubt || R.st == Undecided) && !HOLD && soonest) || (R.st == Ready && nx && !verified && !stranger && (!replaced || HOLD || soonest)))
#define useful      (R.st == Ready || (R.st == InDoubt && (believed || (atend && !without(never_gives_up)))) || (R.st == Quarantined && !mute) || (!DENIED && live))
inline ask() { hold();
  if :: !believed || (HOLD && R.st == Ready && replaced && !self.person) || (live && !DENIED && !waited) -> self.v = Silence
     :: else -> if :: live && !DENIED -> self.v = Alive :: else -> self.v = Spent fi fi;
  if :: self.v == Alive -> outwait(); if :: under(1, R.tok) || under(2, R.tok) || under(3, R.tok) -> skip :: else -> sent[R.tok] = 0 fi :: else fi;
  if :: REUSE && spent(R) -> CHECK(atend || self.person, "VIOLATION alive: a question ended a living access token\n"); cur[fam(R.tok)] = 0 :: else fi;
  self.pc = Asked; printf("r%d asks about %d: %e\n", _pid, R.tok, self.v) }

active [NR] proctype Replica() { on -> end: do
/* exchange.align: a store that shows less than memory knows is healed forward (Heal). */
:: atomic { self.pc == Idle && behind(_pid) -> first();
     x = R.rev; copy(R, self.m); if :: x > R.rev -> R.rev = x :: else fi; x = 0; R.ver = 0;
     if :: without(heal_ready) && R.st == Ready -> R.ver = id :: else -> Apply(Healed) fi;
     last(); printf("r%d heals: %e\n", _pid, R.st) }

/* Who remembers the very record vouches for it under a new identity. */
:: atomic { self.pc == Idle && self.acq && replaced && same(R, self.m) && R.rev == self.m.rev && R.vou != id -> first(); R.vou = id; last() }

/* exchange.outOfDoubt: an attempt whose holder isn't here is a doubt at once (Doubted); only asking waits. */
:: atomic { self.pc == Idle && R.st == Exchanging && !behind(_pid) -> first();
     if :: self.unsent == R.att -> Apply(Unsent); close() :: else -> Apply(Doubted) fi;
     last(); printf("r%d finds an open attempt: %e\n", _pid, R.st) }
:: atomic { self.pc == Idle && !behind(_pid) && wanted && useful && waited -> ask() }
:: atomic { self.pc == Idle && !behind(_pid) && nx && R.st == Ready && !verified && stranger && waited ->
     first(); Apply(Isolated); R.ver = 0; last(); printf("r%d doesn't know this copy\n", _pid) }
/* Broker.Settle and Broker.Confirm: a person has it asked at once. */
:: atomic { self.pc == Idle && !behind(_pid) && useful && R.tok && R.st == Quarantined -> self.person = 1; ask() }
:: atomic { self.pc == Idle && !behind(_pid) && R.tok && nsettle &&
       (R.st == InDoubt || R.st == Dead || R.st == Lost || R.st == Undecided) -> nsettle--; self.person = 1; ask() }

/* exchange.judge: a verdict counts for the very record and store identity that it was asked for. */
:: atomic { self.pc == Asked -> if
     :: current && self.v == Alive && R.st != Exchanging && R.st != Revoked -> first(); Apply(Found); R.rep = 0; self.acq = 1;
          close(); R.ver = id; R.tru = 1; last()
     :: current && self.v == Spent && (R.st == Ready || R.st == InDoubt || R.st == Quarantined) -> first(); Apply(Missed);
          close(); last()
     :: current && self.v == Silence && R.st == Ready -> first(); Apply(Silent); R.ver = 0; last()
     :: current && self.v == Silence && R.st == InDoubt && atend && !without(never_gives_up) && !self.person -> first(); Apply(GaveUp); last()
     :: else fi; printf("r%d judges: %e\n", _pid, R.st); idle(_pid) }
/* exchange.giveUp, where nobody may ask. */
:: atomic { self.pc == Idle && R.st == InDoubt && HOLD && atend && !behind(_pid) && !without(never_gives_up) -> first(); Apply(GaveUp); last() }

/* exchange.underHold, verify, trade: a ready record, verified under the identity that the hold has read. Then Journal.Begin. */
:: atomic { self.pc == Idle && nx && R.st == Ready && !R.att && !behind(_pid) && verified -> nx--; natt++; hold();
     copy(self.i, R); self.i.att = natt; self.i.st = Exchanging; self.iset = 0; self.iref = 0;
     Q[natt].tok = R.tok; Q[natt].id = id;
     if :: without(no_intent) -> self.pc = Saved :: else -> self.pc = Begun fi; printf("r%d journals an intent for %d\n", _pid, R.tok) }
/* exchange.intend: the intent by compare-and-set (Began); of unknown fate it isn't sent. */
:: atomic { self.pc == Begun -> if
     :: current && R.st == Ready -> first(); Apply(Began); R.att = self.i.att; R.mis = 0; last();
          if :: self.hrev = R.rev; self.pc = Saved
             :: nf && (FAULTS & SAVE) -> nf--; self.pc = NotSent fi; printf("r%d saves its intent\n", _pid)
     :: nf && (FAULTS & SAVE) -> nf--; self.pc = NotSent
     :: else -> self.iset = 1; idle(_pid); printf("r%d lost the race\n", _pid) fi }
/* exchange.send: the guard, right before the first byte; after it the process may pause, but not for as long as others wait. */
:: atomic { self.pc == Saved -> if :: Q[self.i.att].late && !without(no_send_guard) -> self.pc = NotSent
     :: else -> Q[self.i.att].ph = 1; self.pc = Sending fi }
:: atomic { self.pc == Sending -> printf("r%d POSTs %d\n", _pid, self.i.tok);
     CHECK(!sent[self.i.tok], "VIOLATION once: a token was sent again\n"); sent[self.i.tok] = 1;
     Q[self.i.att].ph = 2; Q[self.i.att].own = 1; self.pc = Waiting }
:: atomic { self.pc == Waiting && Q[self.i.att].ph == 4 -> k = self.i.att; self.pc = Q[k].res; Q[k].ph = 5; Q[k].own = 0;
     if :: self.pc == Unclear || self.pc == Refused || self.pc == Limited -> self.iref = 1 :: else fi;
     if :: self.pc == Limited -> sent[self.i.tok] = 0 :: else fi; k = 0; printf("r%d reads: %e\n", _pid, self.pc) }

/* exchange.takeBack (Unsent): nothing was sent, or the token wasn't looked at. */
:: atomic { (self.pc == NotSent || self.pc == Limited) ->
     if :: self.pc == NotSent -> self.unsent = self.i.att :: else fi;
     if :: mine -> first(); Apply(Unsent); close(); last(); self.iset = 1 :: else fi; idle(_pid) }
/* exchange.noAnswer, refused, doubt (Doubted): everything that doesn't prove the token unspent. */
:: atomic { (self.pc == NoAnswer || self.pc == Unclear) -> if
     :: mine && ((self.pc == NoAnswer && without(answer_resent)) || (self.pc == Unclear && without(refusal_ready))) ->
          first(); Apply(Unsent); close(); last()
     :: mine -> first(); Apply(Doubted); if :: self.pc == Unclear -> R.mis = 1 :: else fi; last()
     :: else fi; printf("r%d has no answer: %e\n", _pid, R.st); idle(_pid) }
/* exchange.dead (Died): believed after the store was read again. */
:: atomic { self.pc == Refused -> if
     :: less(self.i, R) -> remember(_pid); self.iset = 1
     :: !less(self.i, R) && mine -> first(); Apply(Died); close(); last(); self.iset = 1
     :: else fi; idle(_pid) }

/* Journal.Answer: from here on the token isn't lost. */
:: atomic { self.pc == Got -> copy(self.a, self.i); self.a.gen++; self.a.tok = self.i.tok + 1; self.a.st = Ready; self.a.att = 0;
     self.a.ended = self.i.ended | one(self.i.att); self.a.kn = self.i.kn | one(self.a.tok);
     self.a.rep = 0; self.enr = 0; self.aset = 0; self.ever = self.a.tok; self.pc = Journalled; printf("r%d journals %d\n", _pid, self.a.tok) }
/* Store.Commit, Committed.Over: over every record with a smaller place and no newer epoch, whatever its state, attempt or fence. */
#define beside      (R.st && (R.ep > self.a.ep || (same(R, self.a) && R.tok != self.a.tok)))                   /* LandedOrphaned, LandedContested */
#define older       (!R.st || less(R, self.a) || (without(goes_back) && R.ep == self.a.ep && R.gen > self.a.gen))   /* else LandedAlready, LandedNowhere */
#define barred      (without(answer_fenced) && !self.enr && !(R.st == Exchanging && R.att == self.i.att))
#define onBase      (R.st && R.ep == self.a.ep && R.gen + 1 == self.a.gen && R.ver && R.ver == self.a.ver)
:: atomic { self.pc == Journalled -> if
     :: beside -> if :: without(orphan_revoked) -> k = cur[fam(R.tok)]; cur[fam(self.a.tok)] = 0; if :: REVALL -> cur[0] = 0; cur[1] = 0 :: else fi;
               CHECK(!k || cur[fam(R.tok)], "VIOLATION orphan: a machine's revocation ended the living grant\n"); k = 0 :: else fi;
          if :: R.kn & one(self.a.tok) -> remember(_pid) :: else -> first(); R.kn = R.kn | one(self.a.tok); R.ended = R.ended | self.a.ended; last() fi
     :: !beside && older && !barred -> first(); if
          :: self.enr -> copy(R, self.a)
          :: !self.enr && (onBase || without(answer_ready_anywhere)) -> Apply(OnBase); copy(R, self.a); if :: without(answer_ready_anywhere) -> R.ver = id :: else fi
          :: else -> if :: R.st -> Apply(OverOlder) :: else fi; copy(R, self.a); R.st = InDoubt; R.ver = 0    /* LandedHealed */
          fi; if :: self.enr && !R.ver -> skip :: else -> atend = 0 fi; last()   /* an import brings no access token */
     :: else -> remember(_pid) fi;
     if :: !self.a.rep && same(R, self.a) && R.tok == self.a.tok -> acquaint() :: else fi; self.pc = Committed; printf("r%d commits %d: %e %d\n", _pid, self.a.tok, R.st, R.tok) }
/* Journal.Settle: a mark. The newest answer and the newest intent stay. */
:: atomic { self.pc == Committed -> self.aset = 1;
     if :: self.i.att && (self.a.ended & one(self.i.att)) -> self.iset = 1 :: else fi;
     if :: without(answer_dropped) -> clear(self.a) :: else fi;
     if :: self.i.att && !self.iset -> self.pc = Replay :: else -> idle(_pid) fi }

/* Broker.Recover: memory is what the store shows; the journal's answer commits; then its intent. */
:: atomic { self.pc == Down -> printf("r%d starts\n", _pid); remember(_pid); self.jn = (self.a.tok || self.i.att);
     if :: self.a.tok -> self.a.rep = !without(replay_seen); self.pc = Journalled
        :: !self.a.tok && self.i.att && !self.iset -> self.pc = Replay
        :: else -> idle(_pid) fi }
/* Broker.replayIntent, replayRefusal: an intent that the record doesn't know is a doubt. */
:: atomic { self.pc == Replay -> if
     :: self.iref && (R.st != Exchanging || R.att != self.i.att) -> self.iset = 1; remember(_pid)
     :: !self.iref && (!R.st || less(R, self.i)) -> first(); x = R.rev; copy(R, self.i); if :: x > R.rev -> R.rev = x :: else fi; x = 0;
          R.ver = 0; Apply(Healed); last()
     :: !self.iref && R.st && (less(self.i, R) || (R.ended & one(self.i.att))) && !less(R, self.i) -> self.iset = 1; remember(_pid)
     :: (self.iref && R.st == Exchanging && R.att == self.i.att) ||
        (R.st && same(R, self.i) && !(R.ended & one(self.i.att)) && (R.st == Ready || R.st == Exchanging || (R.st == InDoubt && !R.att))) ->
          first(); if :: R.st == Exchanging -> skip :: else -> R.att = self.i.att; R.mis = 0 fi; Apply(Doubted); last()
     :: else -> remember(_pid) fi; printf("r%d replays its intent: %e\n", _pid, R.st); idle(_pid) }

/* Broker.Authorize: an enrolment is an answer: journalled, committed, and then the person is told. */
:: atomic { self.pc == Idle && nauth -> nauth--; cur[1] = 9; hold(); printf("r%d: a person authorises\n", _pid);
     enrol(9, id); self.a.tru = !DENIED;
     if :: without(enrolment_unjournalled) -> first(); copy(R, self.a); last(); clear(self.a); atend = 0; idle(_pid) :: else fi }
/* Broker.Import, Broker.Seed, admit: a token that store, memory or journal know doesn't enter twice; it enters unverified. */
:: atomic { self.pc == Idle && nimport && (id == 1 || settled) -> nimport--; hold();   /* Broker.settlesIn */
     if :: !R.st || behind(_pid) -> x = ((self.m.kn & one(1)) != 0)
        :: else -> x = ((R.kn & one(1)) && !(R.tok == 1 && (R.st == Dead || R.st == Lost || R.st == Undecided))) fi;
     if :: x && !without(import_unchecked) -> x = 0; idle(_pid) :: else -> x = 0; enrol(1, 0); printf("r%d imports 1\n", _pid) fi }
/* Broker.Revoke: the epoch first (Ended), then the token. */
:: atomic { self.pc == Idle && nrevoke && R.st && !behind(_pid) -> nrevoke--; first(); newEpoch(); printf("r%d: a person revokes\n", _pid);
     cur[fam(R.tok)] = 0; if :: REVALL -> cur[0] = 0; cur[1] = 0 :: else fi;
     if :: without(revoked_in_its_epoch) -> skip :: else -> R.ep = x; R.gen = 0 fi; x = 0;
     Apply(Ended); close(); R.tok = 0; R.ver = 0; last() }
od }

/* The token endpoint: single use, and the family ends when a spent token is seen. */
#define AT_SALESFORCE(n) \
:: atomic { Q[n].ph == 2 -> Q[n].ph = 3 } \
:: atomic { Q[n].ph == 2 && !Q[n].own -> Q[n].ph = 5 } \
:: atomic { Q[n].ph == 2 && nf && (FAULTS & RATE) -> nf--; reply(n, Limited) } \
:: atomic { Q[n].ph == 3 -> if :: cur[fam(Q[n].tok)] == Q[n].tok -> cur[fam(Q[n].tok)] = Q[n].tok + 1; reply(n, Got) \
     :: else -> CHECK(!cur[fam(Q[n].tok)], "VIOLATION once: Salesforce saw a spent token\n"); cur[fam(Q[n].tok)] = 0; reply(n, Refused) fi } \
:: atomic { Q[n].ph == 3 && nf && (FAULTS & KEEPS) -> nf--; reply(n, Unclear) } \
:: atomic { Q[n].ph == 3 && nf && (FAULTS & SPENDS) && cur[fam(Q[n].tok)] == Q[n].tok -> nf--; cur[fam(Q[n].tok)] = Q[n].tok + 1; reply(n, Unclear) }
inline reply(n, r) { printf("Salesforce answers %d: %e\n", Q[n].tok, r); if :: Q[n].own -> Q[n].res = r; Q[n].ph = 4 :: else -> Q[n].ph = 5 fi }
active proctype Salesforce() { on -> end: do
AT_SALESFORCE(1)
#if NX > 1
AT_SALESFORCE(2)
#endif
#if NX > 2
AT_SALESFORCE(3)
#endif
:: atomic { !atend && R.st != Ready -> atend = 1; printf("the access token is at its end\n") }
od }

inline kill(q, disk) {
  if :: P[q].pc == Sending -> Q[P[q].i.att].ph = 5 :: P[q].pc == Waiting -> if :: Q[P[q].i.att].ph == 4 -> Q[P[q].i.att].ph = 5 :: else fi; Q[P[q].i.att].own = 0 :: else fi;
  idle(q); P[q].pc = Down; clear(P[q].m); P[q].acq = 0; P[q].jn = 0; P[q].unsent = 0;
  if :: disk -> clear(P[q].a); clear(P[q].i); P[q].enr = 0; P[q].aset = 0; P[q].iset = 0; P[q].iref = 0; P[q].ever = 0 :: else fi }
#define HITS(q) \
:: atomic { nf && (FAULTS & CRASH) && P[q].pc != Down -> nf--; kill(q, 0); printf("r%d CRASHES\n", q) } \
:: atomic { nf && (FAULTS & DISK) && P[q].pc != Down -> nf--; kill(q, 1); printf("r%d CRASHES and loses its disk\n", q) } \
:: atomic { nf && (FAULTS & ANSWER) && P[q].pc == Waiting -> nf--; if :: Q[P[q].i.att].ph == 4 -> Q[P[q].i.att].ph = 5 :: else fi; \
     Q[P[q].i.att].own = 0; P[q].pc = NoAnswer; printf("r%d LOSES its answer\n", q) }
active proctype Faults() { on -> end: do
HITS(0)
HITS(1)
#if NR > 2
HITS(2)
#endif
:: atomic { nf && (FAULTS & LOSE1) && H1.st -> nf--; id++; copy(R, H1); printf("The STORE loses a write: %e %d\n", R.st, R.tok) }
:: atomic { nf && (FAULTS & LOSE2) && H2.st -> nf--; id++; copy(R, H2); printf("The STORE loses two writes: %e %d\n", R.st, R.tok) }
:: atomic { nf && (FAULTS & DUMP) && H1.st -> nf--; id++; kill(0, 0); kill(1, 0);
#if NR > 2
     kill(2, 0);
#endif
     original(R); printf("An old DUMP is restored, and all start anew\n") }
:: atomic { nf && (FAULTS & KEY) && H1.st && !flying(1) && !flying(2) && !flying(3) -> nf--; kill(0, 1); kill(1, 0);
     original(R); printf("One KEY is put back by hand, a disk is lost, and all start anew\n") }
:: atomic { nf && (FAULTS & EMPTY) && R.st -> nf--; id++; clear(R); printf("The STORE is emptied\n") }
:: atomic { nf -> nf = 0 }
od }

#define knows(q, t) (P[q].a.tok == t || P[q].m.tok == t || P[q].ever == t)
#if NR > 2
#define held(t)     (knows(0, t) || knows(1, t) || knows(2, t))
#else
#define held(t)     (knows(0, t) || knows(1, t))
#endif
init { atomic { original(R); cur[0] = 1;
    k = 0; do :: k < NR -> P[k].pc = Idle; original(P[k].m); original(P[k].a); P[k].acq = 1; P[k].jn = 1; P[k].aset = 1; P[k].ever = 1; k++ :: else -> break od; k = 0; on = 1 };
  timeout -> atomic {     /* nothing more can happen: every grant ends well */
    printf("end: %e %d, Salesforce has %d and %d\n", R.st, R.tok, cur[0], cur[1]);
    x = cur[fam(R.tok)];
    CHECK(R.st && R.st != Exchanging && R.st != InDoubt, "VIOLATION ends: a grant is stuck\n");
    CHECK((FAULTS & KEY) || !(R.st == Ready && R.ver == id && x && R.tok != x), "VIOLATION ends: ready with a spent token\n");
    CHECK(!((R.st == Dead || R.st == Lost || R.st == Undecided) && x && !(R.ep > 1 && fam(R.tok) == 0) && ((R.tok == x && !(R.st == Undecided && (DENIED || HOLD))) || (R.tok != x && held(x)))), "VIOLATION lost: a person is asked though a living token is held\n");
    CHECK(!(AUTH && !nauth && cur[1] && R.st != Revoked && fam(R.tok) == 0 && held(cur[1])), "VIOLATION lost: an authorisation\n") }
}
