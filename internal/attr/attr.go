// Package attr is the one list of the keys that spans, metrics and logs of
// sallyport carry beside OpenTelemetry's own.
package attr

import "go.opentelemetry.io/otel/attribute"

// Scope is the name of the tracer and of the meter.
const Scope = "sallyport"

// Keys of spans, metrics and log lines.
const (
	Org            = attribute.Key("sallyport.org")
	Client         = attribute.Key("sallyport.client")
	Decision       = attribute.Key("sallyport.decision")
	Epoch          = attribute.Key("sallyport.epoch")
	Generation     = attribute.Key("sallyport.generation")
	Attempt        = attribute.Key("sallyport.attempt")
	Fence          = attribute.Key("sallyport.fence")
	Replica        = attribute.Key("sallyport.replica")
	LeaseMargin    = attribute.Key("sallyport.lease.margin")
	ExchangeReason = attribute.Key("sallyport.exchange.reason")
	ExchangeResult = attribute.Key("sallyport.exchange.outcome")
	Race           = attribute.Key("sallyport.race")
	NearMiss       = attribute.Key("sallyport.near_miss")
	RaceWinner     = attribute.Key("sallyport.race.winner")
	GrantState     = attribute.Key("sallyport.grant.state")
	ErrorCode      = attribute.Key("sallyport.error")
	ErrorType      = attribute.Key("error.type")
	EgressSource   = attribute.Key("sallyport.egress.source")
	EgressStanding = attribute.Key("sallyport.egress.standing")
	EgressAddress  = attribute.Key("sallyport.egress.address")
	EgressFrom     = attribute.Key("sallyport.egress.from")
	EgressTo       = attribute.Key("sallyport.egress.to")
	EgressEcho     = attribute.Key("sallyport.egress.echo")
	Attempts       = attribute.Key("sallyport.attempts")
	SubjectKind    = attribute.Key("sallyport.introspect.subject")
	Active         = attribute.Key("sallyport.introspect.active")

	EgressAttestedAt = attribute.Key("sallyport.egress.attested_at")
)

// MetricStrangers counts logins that Salesforce recorded from an address that is neither registered nor sallyport's.
const MetricStrangers = "sallyport.egress.strangers"

// Values of [NearMiss].
const (
	NearMissGuard  = "send_guard" // nothing was sent, since too much time had passed or the lock was lost
	NearMissMargin = "margin"     // a commit with little left of the time that the attempt might last
)

// Values of [Race].
const (
	RaceNone    = "none"
	RaceWon     = "won"
	RaceLost    = "lost"
	RaceFenced  = "fenced"
	RaceInDoubt = "in_doubt"
)

// Names of spans.
const (
	SpanRequest    = "proxy.request"
	SpanGet        = "token.get"
	SpanWait       = "token.wait"
	SpanExchange   = "token.exchange"
	SpanLock       = "lock.acquire"
	SpanJournal    = "journal.append"
	SpanConnect    = "salesforce.connect"
	SpanToken      = "salesforce.token"
	SpanIntrospect = "salesforce.introspect"
	SpanCommit     = "store.commit"
	SpanAttest     = "egress.attest"
	SpanEgressMove = "egress.move"
	SpanLogins     = "salesforce.logins"
)
