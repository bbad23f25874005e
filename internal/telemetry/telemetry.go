// Package telemetry sets up OpenTelemetry's SDK, its exporters, and the logs of
// a sallyport process.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sallyport/sallyport/internal/attr"
)

// Options of [Start].
type Options struct {
	// Version of sallyport, for the resource.
	Version string
	// Replica is the service.instance.id unless OTEL_RESOURCE_ATTRIBUTES names one.
	Replica string
	// Env looks up an environment variable. The SDK's own reads go to the
	// process's environment; this one decides which exporters there are.
	Env func(string) string
	// Logger gets the SDK's own errors.
	Logger *slog.Logger
}

// Telemetry is the SDK of a process, ended by [Telemetry.Shutdown].
type Telemetry struct {
	Tracer trace.Tracer
	Meter  metric.Meter
	// Metrics serves the metrics for Prometheus, always.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// Start sets up tracing and metrics as the OTEL_* variables say. There is no
// exporter unless one is configured; /metrics is always there. It fails where a
// configured exporter can't be made.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("telemetry", "error", err) }))
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "sallyport"),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Replica),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Telemetry{Tracer: tracenoop.NewTracerProvider().Tracer(attr.Scope)}
	if err := t.startMetrics(ctx, o, res); err != nil {
		return nil, err
	}
	if o.exports("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err), t.Shutdown(ctx))
		}
		tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
		t.Tracer = tp.Tracer(attr.Scope, trace.WithInstrumentationVersion(o.Version))
		t.shutdown = append(t.shutdown, tp.Shutdown)
	}
	return t, nil
}

func (t *Telemetry) startMetrics(ctx context.Context, o Options, res *resource.Resource) error {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prom, err := promexport.New(promexport.WithRegisterer(reg))
	if err != nil {
		return err
	}
	opts := []sdkmetric.Option{sdkmetric.WithReader(prom), sdkmetric.WithResource(res)}
	if o.exports("METRICS") && o.Env("OTEL_METRICS_EXPORTER") != "prometheus" {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("OTEL_METRICS_EXPORTER: %w", err)
		}
		opts = append(opts, sdkmetric.WithReader(reader))
	}
	mp := sdkmetric.NewMeterProvider(opts...)
	t.Meter = mp.Meter(attr.Scope, metric.WithInstrumentationVersion(o.Version))
	t.Metrics = promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
	t.shutdown = append(t.shutdown, mp.Shutdown)
	return nil
}

// exports reports whether an exporter is configured for a signal.
func (o Options) exports(signal string) bool {
	if strings.EqualFold(o.Env("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if e := o.Env("OTEL_" + signal + "_EXPORTER"); e != "" {
		return e != "none"
	}
	return o.Env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || o.Env("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// Shutdown exports what is left and ends the SDK.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for i := len(t.shutdown) - 1; i >= 0; i-- {
		errs = append(errs, t.shutdown[i](ctx))
	}
	return errors.Join(errs...)
}
