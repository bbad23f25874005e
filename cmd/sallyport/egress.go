package main

import (
	"context"
	"net/netip"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sallyport/sallyport/internal/attr"
	"github.com/sallyport/sallyport/internal/egress"
)

// observeEgress tells the standing of each source address when metrics are read.
func observeEgress(m metric.Meter, out *egress.Egress) error {
	verified, err := m.Int64ObservableGauge("sallyport.egress.verified", metric.WithUnit("1"),
		metric.WithDescription("1 where what leaves by a source address is verified to arrive from a registered one, else 0."))
	if err != nil {
		return err
	}
	attested, err := m.Float64ObservableGauge("sallyport.egress.attested.time", metric.WithUnit("s"),
		metric.WithDescription("When an echo last answered for a source address, in seconds since 1970."))
	if err != nil {
		return err
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, at := range out.Attestations() {
			v := int64(0)
			if at.Standing == egress.Verified {
				v = 1
			}
			kv := []attribute.KeyValue{attr.EgressSource.String(sourceName(at.Source)), attr.EgressStanding.String(at.Standing.String())}
			if at.Public.IsValid() {
				kv = append(kv, attr.EgressAddress.String(at.Public.String()))
			}
			o.ObserveInt64(verified, v, metric.WithAttributes(kv...))
			if !at.At.IsZero() {
				o.ObserveFloat64(attested, float64(at.At.UnixMilli())/1000, metric.WithAttributes(attr.EgressSource.String(sourceName(at.Source)), attr.EgressEcho.String(at.Echo)))
			}
		}
		return nil
	}, verified, attested)
	return err
}

// sourceName is a source address for people.
func sourceName(a netip.Addr) string {
	if !a.IsValid() {
		return "any"
	}
	return a.String()
}
