# The targets that people and CI call. `make` alone prints them.
SHELL := /bin/bash
.SHELLFLAGS := -Eeuo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# When the source was last changed, so that the same source gives the same image.
EPOCH    ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
FUZZTIME ?= 10s
IMAGE    ?= sallyport:dev
# How many seeds the simulation takes: in the tests, and by `make simulate`.
SEEDS    ?= 10000
N        ?= 100000
FIRST    ?= 1
CHAOS    ?= 5m
CLIENTS  ?= 20s
SUMMARY  ?= $(CURDIR)/dist/simulation.md

export GOTOOLCHAIN = local
APT     := internal/tools/apt.sh
SCRIPTS := .ci/run $(APT) $(wildcard deploy/*.sh deploy/*/*.sh internal/clients/*.sh internal/clients/*/*.sh)
# Modules of their own that have tests. Two run for minutes and have targets of
# their own: `make bench` and `make clients`.
SLOW     = internal/bench internal/clients
# What is deployed has checks in modules of their own, for `make deploy-check`.
DEPLOYED = deploy/helm/check deploy/terraform/check
MODULES  = $(filter-out internal/tools $(SLOW),$(patsubst %/go.mod,%,$(wildcard internal/*/go.mod)))
# buildah keeps its images here rather than in the machine's store; vfs and
# chroot ask neither for a daemon nor for namespaces.
STORE   := dist/containers
BUILDAH := buildah --storage-driver vfs --root $(CURDIR)/$(STORE)/root --runroot $(CURDIR)/$(STORE)/run

.PHONY: help
help: ## print this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sort | column -t -s $$'\t'

.PHONY: test
test: test-deps ## all tests, with the race detector
	packages=$$($(GO) list ./... | grep -vE '/internal/(archtest|lab|netlab|simtest)$$'); $(GO) test -race -p 3 -timeout 7m $$packages # they wait more than they work
	$(GO) test -timeout 5m ./internal/simtest -seeds $(SEEDS) & sim=$$!; code=0; \
	  $(GO) test -race -count=1 -parallel 6 -timeout 7m ./internal/archtest ./internal/lab ./internal/netlab || code=$$?; wait $$sim && exit $$code
	# The simulation is one goroutine at a time: the race detector would only make it slow. The others read files and run a binary that no cache knows of.
	for m in $(MODULES); do (cd "$$m" && $(GO) test -race -timeout 7m ./...); done

.PHONY: simulate
simulate: ## N (100000) seeded simulations of replicas, store, journals and Salesforce
	$(GO) test -timeout 0 ./internal/simtest -run TestSimulation -seeds $(N) -first $(FIRST) -summary $(SUMMARY) -v

.PHONY: chaos
chaos: test-deps ## CHAOS (5m) of kills, stops and lost stores against four real replicas and a real Redis
	$(GO) test -count=1 -timeout 30m ./internal/lab -run TestChaos -chaos=$(CHAOS) -seed=$(FIRST) -v

.PHONY: clients
clients: ## every real client against serve for CLIENTS (20s), with sessions of 5 s; alone, and two replicas with Redis
	@$(APT) curl /usr/bin/python3=python3 /usr/lib/python3/dist-packages/requests=python3-requests javac=default-jdk-headless keytool=default-jdk-headless redis-server npm
	cd internal/clients && $(GO) test -count=1 -timeout 60m -v -run 'TestOn|TestAGig' . -for $(CLIENTS)

.PHONY: scale
scale: ## what 10,000 idle orgs cost a replica
	$(GO) test -count=1 -timeout 40m -run TestIdleOrgs -v ./internal/lab -orgs 10000 -idle 60s

.PHONY: otelcol-check
otelcol-check: build ## builds the OpenTelemetry Collector of deploy/otelcol (minutes) and sends a race through it
	deploy/otelcol/check.sh bin/sallyport

.PHONY: mutants
mutants: test-deps ## takes each guard of the failure cases out, and demands a red test
	$(GO) run ./internal/mutants

.PHONY: model
model: ## the protocol's model under spin: environments clean, mutations caught
	@$(APT) spin gcc
	$(GO) test -tags model -count=1 -timeout 40m -run '^TestModel$$' -v ./internal/model

.PHONY: test-deps
test-deps: # what the tests run beside Go: peers and clients
	@$(APT) curl openssl python3 javac=default-jdk-headless redis-server redis-cli=redis-tools redis-sentinel ip=iproute2 nft=nftables nsenter=util-linux

.PHONY: lint
lint: bin/golangci-lint ## formatting, linters, shell scripts, a tidy go.mod
	bin/golangci-lint config verify
	bin/golangci-lint run ./...
	for m in $(MODULES) $(SLOW) $(DEPLOYED); do (cd "$$m" && $(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); done
	@$(APT) shellcheck
	shellcheck --exclude=SC2317 $(SCRIPTS) # 0.9 takes what a trap calls for unreachable
	$(GO) mod tidy -diff

bin/golangci-lint: internal/tools/go.mod internal/tools/go.sum
	$(GO) build -C internal/tools -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/benchstat: internal/tools/go.mod internal/tools/go.sum
	$(GO) build -C internal/tools -o $(CURDIR)/$@ golang.org/x/perf/cmd/benchstat

.PHONY: build
build: ## bin/sallyport, static
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/sallyport ./cmd/sallyport

.PHONY: demo
demo: build ## the main job on this machine, offline: simulator, proxy, expiry, rotation
	bin/sallyport demo

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	packages=$$($(GO) list ./...); for pkg in $$packages; do \
	  for target in $$($(GO) test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$pkg"; \
	  done; \
	done

.PHONY: bench
bench: build bin/benchstat ## compare sallyport with its peers under load
	$(GO) run -C internal/bench .

.PHONY: tools
tools: ## what deploy-check builds where it is missing: minutes, the first time
	$(GO) build -C internal/tools/helm -o $(CURDIR)/bin/helm helm.sh/helm/v3/cmd/helm
	$(GO) build -C internal/tools/goreleaser -o $(CURDIR)/bin/goreleaser github.com/goreleaser/goreleaser/v2
	$(GO) build -C internal/tools/goreleaser -o $(CURDIR)/bin/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	$(GO) build -C internal/tools/tflint -o $(CURDIR)/bin/tflint github.com/terraform-linters/tflint
	$(GO) build -C internal/tools/tofu -o $(CURDIR)/bin/tofu github.com/opentofu/opentofu/cmd/tofu

.PHONY: packages-check
packages-check: ## archives, deb and rpm with their SBOMs, without publishing them: built, inspected, installed in throw-away roots
	deploy/packages/check.sh

.PHONY: deploy-check
deploy-check: build ## what people deploy: unit, rules, dashboard, runbooks, guides, Compose, Helm chart, Terraform modules
	deploy/check.sh bin/sallyport
	deploy/helm/check.sh bin/sallyport
	deploy/terraform/check.sh

# Without a registry there is no Go image to compile in, so the binary comes
# from this machine by the very script that the Dockerfile runs; see there.
.PHONY: image
image: ## the container image (IMAGE), by buildah, as dist/sallyport.tar
	@$(APT) buildah /etc/ssl/certs/ca-certificates.crt=ca-certificates
	VERSION=$(VERSION) COMMIT=$(COMMIT) deploy/image/rootfs.sh dist/rootfs
	$(BUILDAH) bud --isolation chroot --format docker --timestamp $(EPOCH) --target prebuilt \
	  --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .
	rm -f dist/sallyport.tar
	$(BUILDAH) push $(IMAGE) docker-archive:$(CURDIR)/dist/sallyport.tar:$(IMAGE)

.PHONY: image-check
image-check: image ## what is in the image, and that it runs
	BUILDAH="$(BUILDAH)" deploy/image/check.sh $(IMAGE) $(VERSION)

.PHONY: clean
clean: ## remove bin and dist
	rm -rf bin dist
