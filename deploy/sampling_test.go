package deploy_test

import (
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
)

// collector is the part of the Collector's configuration that ours uses, as of
// version 0.155. It is decoded strictly.
type collector struct {
	Extensions struct {
		HealthCheck struct {
			Endpoint string `yaml:"endpoint"`
		} `yaml:"health_check"`
	} `yaml:"extensions"`
	Receivers struct {
		OTLP struct {
			Protocols map[string]struct {
				Endpoint string `yaml:"endpoint"`
			} `yaml:"protocols"`
		} `yaml:"otlp"`
	} `yaml:"receivers"`
	Processors struct {
		MemoryLimiter struct {
			CheckInterval string `yaml:"check_interval"`
			LimitMiB      int    `yaml:"limit_mib"`
			SpikeLimitMiB int    `yaml:"spike_limit_mib"`
		} `yaml:"memory_limiter"`
		TailSampling struct {
			DecisionWait  string `yaml:"decision_wait"`
			NumTraces     int    `yaml:"num_traces"`
			Expected      int    `yaml:"expected_new_traces_per_sec"`
			DecisionCache struct {
				Sampled    int `yaml:"sampled_cache_size"`
				NonSampled int `yaml:"non_sampled_cache_size"`
			} `yaml:"decision_cache"`
			Policies []policy `yaml:"policies"`
		} `yaml:"tail_sampling"`
		Batch struct {
			Timeout       string `yaml:"timeout"`
			SendBatchSize int    `yaml:"send_batch_size"`
		} `yaml:"batch"`
	} `yaml:"processors"`
	Exporters struct {
		OTLP struct {
			Endpoint string            `yaml:"endpoint"`
			Headers  map[string]string `yaml:"headers"`
			Queue    struct {
				Enabled bool `yaml:"enabled"`
				Size    int  `yaml:"queue_size"`
			} `yaml:"sending_queue"`
			Retry struct {
				Enabled bool   `yaml:"enabled"`
				Max     string `yaml:"max_elapsed_time"`
			} `yaml:"retry_on_failure"`
		} `yaml:"otlp_grpc"`
	} `yaml:"exporters"`
	Service struct {
		Extensions []string `yaml:"extensions"`
		Telemetry  struct {
			Metrics struct {
				Level string `yaml:"level"`
			} `yaml:"metrics"`
		} `yaml:"telemetry"`
		Pipelines map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

// policy is one reason to keep a trace: any that holds keeps it.
type policy struct {
	Name   string `yaml:"name"`
	Type   string `yaml:"type"`
	String struct {
		Key    string   `yaml:"key"`
		Values []string `yaml:"values"`
		Regex  bool     `yaml:"enabled_regex_matching"`
	} `yaml:"string_attribute"`
	OTTL struct {
		ErrorMode string   `yaml:"error_mode"`
		Span      []string `yaml:"span"`
		Event     []string `yaml:"spanevent"`
	} `yaml:"ottl_condition"`
	Status struct {
		Codes []string `yaml:"status_codes"`
	} `yaml:"status_code"`
	Latency struct {
		Threshold int64 `yaml:"threshold_ms"`
	} `yaml:"latency"`
	Probabilistic struct {
		Percentage string `yaml:"sampling_percentage"`
	} `yaml:"probabilistic"`
}

func loadCollector(t *testing.T) collector {
	t.Helper()
	var c collector
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "otelcol/config.yaml")), &c, yaml.Strict()); err != nil {
		t.Fatalf("config.yaml: %v", err)
	}
	return c
}

func TestCollectorLimitsMemoryBeforeItSamples(t *testing.T) {
	c := loadCollector(t)
	p := c.Service.Pipelines["traces"]
	if !slices.Equal(p.Processors, []string{"memory_limiter", "tail_sampling", "batch"}) || !slices.Equal(p.Receivers, []string{"otlp"}) || !slices.Equal(p.Exporters, []string{"otlp_grpc"}) {
		t.Errorf("the pipeline is %+v", p)
	}
	if last := c.Processors.TailSampling.Policies[len(c.Processors.TailSampling.Policies)-1]; last.Type != "probabilistic" || last.Probabilistic.Percentage != "${env:KEEP_PERCENT}" {
		t.Errorf("the share of the rest is %+v", last)
	}
}
