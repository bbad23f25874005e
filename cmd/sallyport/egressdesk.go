package main

import (
	"context"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/egress"
	"github.com/sallyport/sallyport/internal/egressplan"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// maxTold is how many strangers are remembered, so that each is told once.
const maxTold = 10_000

// egressDesk tells of the ways out, tries them, and looks for strangers among
// the logins that Salesforce recorded. It implements [admin.Egress].
type egressDesk struct {
	replica    string
	enforce    string
	registered egressplan.Set
	echoes     []string
	out        *egress.Egress
	dir        *directory
	reg        *registry.Registry
	broker     *tokens.Broker
	store      metaStore
	log        *slog.Logger
	tracer     oteltrace.Tracer
	strangers  metric.Int64Counter
	told       *lru.Cache[string, struct{}] // the strangers that the alarm was raised about
}

// newEgressDesk needs the broker.
func (a *app) newEgressDesk() (*egressDesk, error) {
	d := &egressDesk{replica: a.journal.Replica(), enforce: a.c.EgressEnforce, echoes: []string{}, out: a.out, dir: a.dir, reg: a.reg, broker: a.broker,
		store: a.store, log: a.log, tracer: a.tel.Tracer}
	for _, r := range a.c.EgressAllowed {
		d.registered = append(d.registered, egressplan.Range{From: r.From, To: r.To})
	}
	d.registered = egressplan.NewSet(d.registered...)
	for _, u := range a.c.EgressEchoURL {
		d.echoes = append(d.echoes, hostOf(u)) // without the path and query, which may hold a key
	}
	d.traceAttestations(context.Background()) // what the first look at the start said
	var err error
	if d.told, err = lru.New[string, struct{}](maxTold); err != nil {
		return nil, err
	}
	d.strangers, err = a.tel.Meter.Int64Counter(attr.MetricStrangers, metric.WithUnit("{login}"),
		metric.WithDescription("Logins of integration users that Salesforce recorded from an address that is neither registered nor sallyport's."))
	return d, err
}

// Ways implements [admin.Egress].
func (d *egressDesk) Ways() admin.EgressWays {
	w := admin.EgressWays{Replica: d.replica, Enforce: d.enforce, Registered: d.registered, Echoes: d.echoes, Sources: []admin.EgressSource{}}
	for _, at := range d.out.Attestations() {
		w.Sources = append(w.Sources, viewAttestation(at))
	}
	return w
}

func viewAttestation(at egress.Attestation) admin.EgressSource {
	v := admin.EgressSource{Source: sourceName(at.Source), Standing: at.Standing.String(), Echo: at.Echo}
	if at.Public.IsValid() {
		v.Public = at.Public.String()
	}
	if !at.At.IsZero() {
		t := at.At.UTC()
		v.At = &t
	}
	if at.Err != nil {
		v.Error = at.Err.Error()
	}
	return v
}

// SourceOf implements [admin.Egress].
func (d *egressDesk) SourceOf(org tokens.OrgID) (string, bool) {
	l, ok := (*d.dir.now.Load())[org]
	if !ok {
		return "", false
	}
	source, err := d.dir.source(l)
	return sourceName(source), err == nil
}

// known are the addresses that a login may come from: registered, or seen by an
// echo as what leaves here.
func (d *egressDesk) known() egressplan.Set {
	all := d.registered
	for _, at := range d.out.Attestations() {
		if at.Public.IsValid() {
			all = all.Union(egressplan.Of(at.Public))
		}
	}
	return all
}

// attested tells that what is known of a source address has changed, and lets
// grants that waited for it go on.
func (d *egressDesk) attested() {
	d.traceAttestations(context.Background())
	for _, at := range d.out.Attestations() {
		level := slog.LevelInfo
		if d.out.Registered(at.Source) != nil {
			level = slog.LevelWarn
		}
		d.log.Log(context.Background(), level, "the standing of a source address", "source", sourceName(at.Source), "standing", at.Standing.String(),
			"address", viewAttestation(at).Public, "seen_by", at.Echo, "seen_at", at.At)
	}
	d.broker.Reconfigure()
}

// traceAttestations writes a span a source address.
func (d *egressDesk) traceAttestations(ctx context.Context) {
	if len(d.echoes) == 0 {
		return
	}
	for _, at := range d.out.Attestations() {
		d.traceAttestation(ctx, at)
	}
}

// traceAttestation writes a span of what echoes said of one source address.
func (d *egressDesk) traceAttestation(ctx context.Context, at egress.Attestation) {
	v := viewAttestation(at)
	kv := []attribute.KeyValue{attr.EgressSource.String(v.Source), attr.EgressStanding.String(v.Standing)}
	if v.At != nil {
		kv = append(kv, attr.EgressAddress.String(v.Public), attr.EgressEcho.String(v.Echo), attr.EgressAttestedAt.String(v.At.Format(time.RFC3339)))
	}
	if at.Err != nil {
		kv = append(kv, attr.ErrorType.String(string(egress.Classify(at.Err))))
	}
	_, span := d.tracer.Start(ctx, attr.SpanAttest, oteltrace.WithAttributes(kv...))
	span.End()
}
