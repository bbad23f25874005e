package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sallyport/sallyport/internal/attr"
)

// inSeconds are bounds for what takes from a Redis round trip to an exchange's
// timeout: those by default are for milliseconds.
var inSeconds = metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

type telemetry struct {
	tracer    trace.Tracer
	meter     metric.Meter
	exchanges metric.Int64Counter
	duration  metric.Float64Histogram
	races     metric.Int64Counter
	lockWait  metric.Float64Histogram
	wait      metric.Float64Histogram
	near      metric.Int64Counter
}

func newTelemetry(t trace.Tracer, m metric.Meter) (*telemetry, error) {
	if t == nil {
		t = tracenoop.NewTracerProvider().Tracer(attr.Scope)
	}
	if m == nil {
		m = metricnoop.NewMeterProvider().Meter(attr.Scope)
	}
	tel := &telemetry{tracer: t, meter: m}
	var errs [6]error
	tel.exchanges, errs[0] = m.Int64Counter("sallyport.token.exchanges", metric.WithUnit("{exchange}"),
		metric.WithDescription("Exchanges at Salesforce's token endpoint, by org, reason and outcome."))
	tel.duration, errs[1] = m.Float64Histogram("sallyport.token.exchange.duration", metric.WithUnit("s"), inSeconds,
		metric.WithDescription("How long exchanges took, from the wish to the commit."))
	tel.races, errs[2] = m.Int64Counter("sallyport.token.races", metric.WithUnit("{race}"),
		metric.WithDescription("Exchanges by how the race for them ended."))
	tel.lockWait, errs[3] = m.Float64Histogram("sallyport.token.lock.wait", metric.WithUnit("s"), inSeconds,
		metric.WithDescription("How long exchanges waited for the org's lock."))
	tel.wait, errs[4] = m.Float64Histogram("sallyport.token.wait.duration", metric.WithUnit("s"), inSeconds,
		metric.WithDescription("How long callers waited for a token that wasn't there."))
	tel.near, errs[5] = m.Int64Counter("sallyport.token.near_misses", metric.WithUnit("{exchange}"),
		metric.WithDescription("Exchanges that the send guard refused, or that committed with under 30 % of their time left."))
	return tel, errors.Join(errs[:]...)
}

// observe reports the state of each grant when metrics are read.
func (t *telemetry) observe(b *Broker) error {
	state, err := t.meter.Int64ObservableGauge("sallyport.grant.state", metric.WithUnit("1"),
		metric.WithDescription("1 for the state that a grant is in, 0 for the others."))
	if err != nil {
		return err
	}
	idle, err := t.meter.Float64ObservableGauge("sallyport.grant.idle.remaining", metric.WithUnit("s"),
		metric.WithDescription("Time left until Salesforce's 30-day idle limit ends the refresh token."))
	if err != nil {
		return err
	}
	waiting, err := t.meter.Int64ObservableGauge("sallyport.token.waiting", metric.WithUnit("{caller}"),
		metric.WithDescription("Callers that wait for a token right now."))
	if err != nil {
		return err
	}
	_, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for id, s := range *b.orgs.Load() {
			s.mu.Lock()
			r := s.memory
			s.mu.Unlock()
			o.ObserveInt64(waiting, s.waiting.Load(), metric.WithAttributes(attr.Org.String(string(id))))
			if !r.Known() {
				continue
			}
			for _, st := range States() {
				v := int64(0)
				if r.State == st {
					v = 1
				}
				o.ObserveInt64(state, v, metric.WithAttributes(attr.Org.String(string(id)), attr.GrantState.String(st.String())))
			}
			if r.SingleUse && len(r.Refresh) > 0 && !r.LastUsed().IsZero() {
				left := time.Until(r.LastUsed().Add(idleLimit))
				o.ObserveFloat64(idle, left.Seconds(), metric.WithAttributes(attr.Org.String(string(id))))
			}
		}
		return nil
	}, state, idle, waiting)
	return err
}

func (t *telemetry) waited(ctx context.Context, id OrgID, d time.Duration, err error) {
	kv := []attribute.KeyValue{attr.Org.String(string(id))}
	if err != nil {
		kv = append(kv, attr.ErrorType.String(errorType(err)))
	}
	t.wait.Record(ctx, d.Seconds(), metric.WithAttributes(kv...))
}

func (t *telemetry) exchanged(ctx context.Context, e Exchange) {
	org := attr.Org.String(string(e.Org))
	how := metric.WithAttributes(org, attr.ExchangeReason.String(e.Reason), attr.ExchangeResult.String(e.Outcome))
	t.exchanges.Add(ctx, 1, how)
	t.duration.Record(ctx, e.Duration.Seconds(), how)
	t.races.Add(ctx, 1, metric.WithAttributes(org, attr.Race.String(e.Race)))
	t.lockWait.Record(ctx, e.LockWait.Seconds(), metric.WithAttributes(org))
}

// nearMiss counts what went well and might not have.
func (t *telemetry) nearMiss(ctx context.Context, id OrgID, kind string) {
	trace.SpanFromContext(ctx).AddEvent("sallyport.near_miss", trace.WithAttributes(attr.NearMiss.String(kind)))
	t.near.Add(ctx, 1, metric.WithAttributes(attr.Org.String(string(id)), attr.NearMiss.String(kind)))
}

// raced counts a race that was lost before anything was sent.
func (t *telemetry) raced(ctx context.Context, e Exchange) {
	org := attr.Org.String(string(e.Org))
	t.races.Add(ctx, 1, metric.WithAttributes(org, attr.Race.String(e.Race)))
	t.lockWait.Record(ctx, e.LockWait.Seconds(), metric.WithAttributes(org))
}

// traceparent is sc as W3C Trace Context writes it, empty where nothing is
// traced.
func traceparent(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	return fmt.Sprintf("00-%s-%s-%s", sc.TraceID(), sc.SpanID(), sc.TraceFlags())
}

// parseTraceparent is the opposite. What it can't read is no span context.
func parseTraceparent(s string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": s}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// errorType is the short word for err in error.type.
func errorType(err error) string {
	var e *Error
	var r *Refusal
	switch {
	case errors.As(err, &e):
		return string(e.Code)
	case errors.As(err, &r) && r.Code != "":
		return r.Code
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, ErrFenced):
		return "fenced"
	}
	return "_OTHER"
}

// endSpan ends span with err's kind. The text of err stays out of it, since it
// may come from afar.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, errorType(err))
		span.SetAttributes(attr.ErrorType.String(errorType(err)))
	}
	span.End()
}

// inSpan runs f in a child span of ctx.
func (t *telemetry) inSpan(ctx context.Context, name string, f func(context.Context) error, kv ...attribute.KeyValue) error {
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(kv...))
	err := f(ctx)
	endSpan(span, err)
	return err
}
