# Every habit of this repository. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -Eeuo pipefail -c
.DEFAULT_GOAL := help

# nginx is in /usr/sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

target := $(shell uname -m)-unknown-linux-gnu
static := RUSTFLAGS="-C target-feature=+crt-static"
scripts := $(shell find entrypoint.d tools benches tests cluster fuzz/run.sh -name '*.sh' 2>/dev/null) .ci/run

export PG PREVIOUS JIT EXTENSIONS START MANIFESTS VENDOR IMAGE BASE IMAGES COUNT CYCLES SEED LIMIT KINDS KEEP RESUME

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  PG=17  PREVIOUS=16 (to upgrade from)  JIT=1  EXTENSIONS="citus pgvector"  VENDOR=DIR (archives at hand)\n  START=root (the tag 18-root)  MANIFESTS=examples/minimal  IMAGE=NAME  BASE=debian:trixie\n'

.PHONY: pgsetup
pgsetup: ## Compile the static binaries to dist/pgsetup and dist/pgstart
	@tools/setup.sh compile
	$(static) cargo build --locked --release --target $(target) --package pgstart
	PGSETUP_PGSTART=$(CURDIR)/target/$(target)/release/pgstart $(static) cargo build --locked --release --target $(target) --package pgsetup
	install -D --target-directory=dist target/$(target)/release/pgsetup target/$(target)/release/pgstart

# What is missing is found first, before anything is compiled.
.PHONY: image
image: ## Build the image pgsetup/postgresql:18, whatever this machine can reach
	@tools/setup.sh image
	@$(MAKE) --no-print-directory pgsetup
	tools/image.sh

.PHONY: test
test: ## Run every test; PGSETUP_REQUIRE_ALL=1 lets none be ignored
	@tools/setup.sh test
	@$(MAKE) --no-print-directory lint
	tools/test.sh

.PHONY: reproducible
reproducible: pgsetup ## Install twice and compare every path of the two trees
	tools/reproducible.sh

.PHONY: kills
kills: pgsetup ## Kill installations at 100 random moments (COUNT=, SEED=), resume each, and compare the trees
	tools/kill.sh

.PHONY: contract
contract: ## Test what the image promises, and print each promise with the outcome
	tools/contract.sh

.PHONY: cycles
cycles: ## Start and stop databases 200 times (CYCLES=) with kills at random moments (SEED=), and look for what was lost
	tools/cycles.sh

.PHONY: catalogue
catalogue: ## Build and test extensions in containers, and write docs/results/extensions.md; PG="17 18" for some majors, RESUME=1 for those that are not recorded yet
	tools/catalogue.sh

.PHONY: reference
reference: ## Write docs/reference from the command line's types, the schemas and the tables of the program
	SNAPSHOTS=overwrite cargo test --locked --quiet --bin pgsetup reference::

.PHONY: lint
lint: ## Check formatting, lints, shell scripts and spelling
	@tools/setup.sh lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	shellcheck $(scripts)
	shfmt --diff --indent 2 --case-indent $(scripts)
	codespell

.PHONY: cluster
cluster: ## Start a sharded cluster on this machine: etcd, Patroni, Citus, HAProxy (IMAGES=upstream: the projects' own images)
	cluster/up.sh

.PHONY: cluster-down
cluster-down: ## Remove that cluster and its data
	cluster/down.sh

.PHONY: chaos
chaos: ## Break a cluster of its own in fifty ways while a client writes; COUNT, SEED, LIMIT (seconds); writes docs/results/reliability.md
	cluster/chaos/run.sh

.PHONY: docs
docs: ## Build the site of the documentation with mdBook, to dist/docs
	tools/docs.sh

.PHONY: guides
guides: ## Follow the guides: run their commands and compare what is printed with what they show
	tools/guides.sh

.PHONY: recording
recording: pgsetup ## Record docs/assets/pgsetup.svg, the picture of the README
	tools/recording/record.py

.PHONY: kubernetes
kubernetes: ## Check the Kubernetes example against the published schemas
	tools/kubernetes.sh

.PHONY: bench
bench: pgsetup ## Race whole installations against a shell script, and fetching against curl and tar (ROUNDS=3)
	@tools/setup.sh bench
	benches/sources.sh
	benches/fetch.sh
	benches/install.sh

.PHONY: bench-start
bench-start: ## Race the image's start against initdb and a start by hand in the same image
	benches/start.sh

.PHONY: fuzz
fuzz: ## Fuzz the parsers and the unpacker, ten minutes each (SECONDS_EACH=600); needs a nightly compiler
	fuzz/run.sh

.PHONY: audit
audit: ## Check licences, sources and advisories of the dependencies (deny.toml)
	@tools/setup.sh audit
	cargo deny --locked check

.PHONY: schemas
schemas: ## Check workflows, issue forms, Renovate's configuration and compose files against the published schemas
	tools/schemas.sh

.PHONY: release
release: ## Make the binaries, SHA256SUMS, man page, completions and bills of materials of a release in dist/release
	@tools/setup.sh release
	tools/release.sh

.PHONY: clean
clean: ## Remove what was made
	cargo clean
	rm -rf dist
