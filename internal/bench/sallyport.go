package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The client that sallyport knows.
const (
	clientName   = "bench"
	clientSecret = "bench-secret-of-no-worth-0123456789"
)

// resources are one org on client credentials and one client with a policy.
const resources = `apps:
  - name: bench
    clientId: bench-client-id
    clientSecret: bench-client-secret
orgs:
  - name: acme
    app: bench
    loginUrl: https://` + host + `
    hosts: [` + host + `]
    grant: client_credentials
    sessionTimeout: 2h
clients:
  - name: ` + clientName + `
    secret: env:BENCH_CLIENT_SECRET
    orgs: [acme]
    methods: [GET, POST, PATCH]
    paths: [/services/data/]
`

// buildSallyport builds the binary as `make build` does.
func (l *lab) buildSallyport(ctx context.Context) error {
	l.binary = filepath.Join(l.dir, "sallyport")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", l.binary, "./cmd/sallyport")
	cmd.Dir = l.o.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building sallyport in %s: %w (to measure the peers alone, give -without-sallyport)\n%s", l.o.root, err, out)
	}
	return nil
}

// startSallyport starts `sallyport serve` on the embedded store with a policy,
// the access log, metrics and tracing on: sampled out, or in full for traced.
func (l *lab) startSallyport(ctx context.Context, name string) (*arrangement, error) {
	if l.collector == nil {
		c, err := startCollector(ctx, l.cores.load)
		if err != nil {
			return nil, err
		}
		l.collector = c
	}
	dir, err := os.MkdirTemp(l.dir, "s")
	if err != nil {
		return nil, err
	}
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "resources.yaml")
	if err := errors.Join(os.Mkdir(state, 0o700), os.WriteFile(file, []byte(resources), 0o600)); err != nil {
		return nil, err
	}
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	ratio := "0"
	if name == traced {
		ratio = "1"
	}
	cmd := exec.CommandContext(ctx, l.binary, "serve")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "BENCH_CLIENT_SECRET=" + clientSecret,
		"SALLYPORT_LISTEN=" + listen, "SALLYPORT_ADMIN_LISTEN=" + admin, "SALLYPORT_STATE_DIR=" + state, "SALLYPORT_APPLY=" + file,
		"SALLYPORT_RESOLVE=" + host + ":443=" + l.upstreamAddr, "SALLYPORT_UPSTREAM_CA_FILE=" + l.upstreamCA.cert,
		"SALLYPORT_ALLOW_ADDRESSES=127.0.0.0/8",
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.collector.addr,
		"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + ratio,
	}
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said // one pipe each, read here: the access log costs what it costs
	if err := startOn(l.cores.proxy, cmd); err != nil {
		return nil, err
	}
	a := &arrangement{
		name: name, proxy: listen, caFile: filepath.Join(dir, "ca.pem"), pid: cmd.Process.Pid, stateDir: state, said: said,
		auth: "Basic " + base64.StdEncoding.EncodeToString([]byte(clientName+":"+clientSecret)),
		stop: sync.OnceFunc(func() { end(cmd, syscall.SIGTERM) }),
	}
	if err := errors.Join(l.awaitReady(ctx, admin), l.exportCA(ctx, state, a.caFile)); err != nil {
		a.stop()
		return nil, fmt.Errorf("%w; it said: %s", err, said)
	}
	return a, nil
}

// awaitReady asks /readyz until it answers 200, for 30 seconds at most.
func (l *lab) awaitReady(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	last := "no answer"
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(r); err == nil {
			body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			last = answer.Status + " " + string(body)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sallyport is not ready: %s", last)
		case <-again.C:
		}
	}
}

func (l *lab) exportCA(ctx context.Context, state, file string) error {
	cmd := exec.CommandContext(ctx, l.binary, "ca", "export")
	cmd.Env = []string{"HOME=" + filepath.Dir(state), "SALLYPORT_STATE_DIR=" + state}
	said := &tail{}
	cmd.Stderr = said
	pem, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("sallyport ca export: %w: %s", err, said)
	}
	return os.WriteFile(file, pem, 0o600)
}

// freeAddr is a loopback address that nothing listened on a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
