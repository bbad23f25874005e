package proxy

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sallyport/sallyport/internal/attr"
)

// maxSeries bounds the combinations of attributes that are remembered for an org.
const maxSeries = 1024

// metrics are the instruments of the proxy. All are always there; without a meter they record nothing.
type metrics struct {
	on       bool
	duration metric.Float64Histogram
	overhead metric.Float64Histogram
	used     metric.Int64Gauge
	allowed  metric.Int64Gauge
	none     orgMetrics // Of requests for which no org was chosen.
}

func newMetrics(m metric.Meter) (*metrics, error) {
	s := &metrics{on: m != nil}
	if m == nil {
		m = noop.Meter{}
	}
	var errs [4]error
	s.duration, errs[0] = m.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of requests inside tunnels."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	s.overhead, errs[1] = m.Float64Histogram("sallyport.proxy.overhead", metric.WithUnit("s"),
		metric.WithDescription("Time that a request spends in sallyport, from its head to the upstream's and from the "+
			"upstream's answer to the first byte for the client, waits for tokens excluded."),
		metric.WithExplicitBucketBoundaries(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1))
	s.used, errs[2] = m.Int64Gauge("sallyport.salesforce.api.usage", metric.WithUnit("{request}"),
		metric.WithDescription("API requests of the org's daily allocation that are used, from Sforce-Limit-Info."))
	s.allowed, errs[3] = m.Int64Gauge("sallyport.salesforce.api.limit", metric.WithUnit("{request}"),
		metric.WithDescription("The org's daily allocation of API requests, from Sforce-Limit-Info."))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// orgMetrics keeps what is recorded for one org, so that recording builds no attributes. The zero value is for requests
// without an org; it is safe for concurrent use.
type orgMetrics struct {
	values atomic.Uint64 // The usage recorded last, used and allowed.

	// mu guards series.
	mu     sync.RWMutex
	series map[series]metric.MeasurementOption
}

type series struct {
	method string
	status int
	code   string
}

// knownMethod is the method as OpenTelemetry's conventions have it.
func knownMethod(m string) string {
	switch m {
	case "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT":
		return m
	}
	return "_OTHER"
}

// option returns the attributes of a request to org, "" if none was chosen.
func (o *orgMetrics) option(org string, k series) metric.MeasurementOption {
	k.method = knownMethod(k.method)
	o.mu.RLock()
	opt := o.series[k]
	o.mu.RUnlock()
	if opt != nil {
		return opt
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", k.method), attribute.String("url.scheme", "https"),
		attribute.Int("http.response.status_code", k.status),
	}
	if org != "" {
		attrs = append(attrs, attr.Org.String(org))
	}
	if k.code != "" {
		attrs = append(attrs, attr.ErrorType.String(k.code))
	} else if k.status >= http.StatusInternalServerError {
		attrs = append(attrs, attr.ErrorType.String(strconv.Itoa(k.status)))
	}
	opt = metric.WithAttributeSet(attribute.NewSet(attrs...))
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.series) < maxSeries {
		if o.series == nil {
			o.series = make(map[series]metric.MeasurementOption)
		}
		o.series[k] = opt
	}
	return opt
}

// usage records what Sforce-Limit-Info says, when it says something new.
func (o *orgMetrics) usage(m *metrics, org string, h http.Header) {
	v := h["Sforce-Limit-Info"]
	if !m.on || len(v) == 0 {
		return
	}
	used, allowed, ok := parseLimitInfo(v[0])
	if both := uint64(used)<<32 | uint64(allowed); !ok || o.values.Swap(both) == both {
		return
	}
	opt := metric.WithAttributeSet(attribute.NewSet(attr.Org.String(org)))
	m.used.Record(context.Background(), int64(used), opt)
	m.allowed.Record(context.Background(), int64(allowed), opt)
}

// parseLimitInfo reads "api-usage=18/5000", perhaps with more behind a semicolon.
func parseLimitInfo(s string) (used, allowed uint32, ok bool) {
	for part := range strings.SplitSeq(s, ";") {
		rest, is := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !is {
			continue
		}
		a, b, _ := strings.Cut(rest, "/")
		u, err1 := strconv.ParseUint(a, 10, 32)
		l, err2 := strconv.ParseUint(b, 10, 32)
		return uint32(u), uint32(l), err1 == nil && err2 == nil
	}
	return 0, 0, false
}

// record records one request. overhead below zero is none.
func (m *metrics) record(ctx context.Context, o *orgMetrics, org string, k series, took, overhead time.Duration) {
	if !m.on {
		return
	}
	opt := o.option(org, k)
	m.duration.Record(ctx, took.Seconds(), opt)
	if overhead >= 0 {
		m.overhead.Record(ctx, overhead.Seconds(), opt)
	}
}
