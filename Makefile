# Signalbox. `make help` lists what there is; `make check` is what CI runs.
.DEFAULT_GOAL := help
.PHONY: help build lab check lint test race e2e likeness bench load microbench fuzz deb

# A real FreeSWITCH for the end-to-end suite; empty = none found, the suite then says loudly that it was skipped.
SIGNALBOX_FREESWITCH ?= $(firstword $(wildcard /usr/local/freeswitch/bin/freeswitch /usr/bin/freeswitch /opt/freeswitch/bin/freeswitch) $(shell command -v freeswitch 2>/dev/null))
export SIGNALBOX_FREESWITCH

FUZZTIME ?= 10m

# Calls a second that the machine's FreeSWITCH bears in `make bench`.
FREESWITCH_RATE ?= 5

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## bin/signalbox, as the package has it: without libc
	CGO_ENABLED=0 go build -o bin/signalbox ./cmd/signalbox

lab: build ## The main job on this machine: calls from end to end, told as stories
	./bin/signalbox lab $(LABFLAGS)

check: ## Everything CI asks for: build, linters, tests, end-to-end suite, lab
	bash scripts/check.sh

lint: ## gofmt, vet, staticcheck, govulncheck
	bash scripts/check.sh lint

test: ## Unit tests
	go test ./...

race: ## Tests of everything concurrent under the race detector
	bash scripts/check.sh race

e2e: build ## The end-to-end suite against a real FreeSWITCH (SIGNALBOX_FREESWITCH=path of its binary)
	bash scripts/check.sh e2e

likeness: ## Measures a real FreeSWITCH again and compares it with what the simulator is held against; the order of some events is chance there
	go test -count=1 -timeout 8m -run 'TestReal' ./internal/fssim/likeness/

bench: build ## Figures beside those of others, as ratios within one run; docs/performance.md says what they are
	@failed=0; \
	go run ./internal/bench events $(BENCHFLAGS) || failed=1; \
	go run ./internal/bench proxies || failed=1; \
	go run ./internal/bench attack || failed=1; \
	go run ./internal/bench store || failed=1; \
	go test -run '^$$' -bench 'Hunt|Load' ./dialplan || failed=1; \
	go run ./internal/bench load $(LOADFLAGS) || failed=1; \
	go run ./internal/bench rooms || failed=1; \
	if [ -n "$$SIGNALBOX_FREESWITCH" ]; then go run ./internal/bench load --freeswitch "$$SIGNALBOX_FREESWITCH" --rate $(FREESWITCH_RATE) --unanswered 100 --talk 30s --voice --greeting 8s $(LOADFLAGS) || failed=1; \
	go run ./internal/bench rooms --freeswitch "$$SIGNALBOX_FREESWITCH" --rooms 30 --rate $(FREESWITCH_RATE) --stay 1m --voice || failed=1; \
	else echo "**** SKIPPED: no FreeSWITCH found (SIGNALBOX_FREESWITCH is empty): the sidecar was NOT measured beside one"; fi; \
	exit $$failed

load: build ## 50 calls a second for 10 minutes on the simulator: what grows, what is slow
	go run ./internal/bench load --duration 10m $(LOADFLAGS)

microbench: ## The Go benchmarks of all packages
	go test -run '^$$' -bench . -benchmem ./esl/... ./dialplan/... ./internal/...

fuzz: ## Every fuzz target for FUZZTIME (10m)
	bash scripts/fuzz.sh $(FUZZTIME)

deb: ## The Debian package, in dist
	packaging/deb.sh
