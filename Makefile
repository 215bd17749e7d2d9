# `make` lists what there is. The work is in scripts, so that each target also runs by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help quickstart quickstart-down test e2e bench build crds docs fmt lint images
export CONTEXT KILL_EVERY

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: ## a RocketMQ cluster under the operator, and messages through it (CONTEXT=... names a Kubernetes cluster)
	@tests/quickstart/up

quickstart-down: ## remove all that `make quickstart` made
	@tests/quickstart/down

test: ## all tests, a short form of the end-to-end ones, on the project's own local cluster (E2E=all: whole; KEEP=1 leaves it up)
	@tests/all

e2e: ## the end-to-end tests alone (FILTER=... runs those whose name has it; KILL_EVERY=5 kills operators; the cluster stays up)
	@tests/local e2e $(FILTER)

bench: ## time from apply to a working cluster, against kubectl alone; what the idle operator takes
	@tests/local bench

build: ## the operator's binary, target/release/rocketmq-operator
	cargo build --release

docs: ## write docs/fields.md anew from crds/
	UPDATE_DOCS=1 cargo test --quiet --test docs

crds: ## write crds/ anew from src/api
	UPDATE_CRDS=1 cargo test --quiet --test crds

fmt: ## format the Rust code
	cargo fmt

lint: ## formatting, clippy, shellcheck
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	tests/scripts lint

images: ## build the container images (no Docker needed)
	images/build all
