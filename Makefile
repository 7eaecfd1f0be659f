# Everything here works in .venv, which scripts/setup makes and keeps up to date.
# PYTHON=/path/to/python chooses the interpreter it is made with.

.DEFAULT_GOAL := help
.PHONY: help demo demo-jit demo-protected test serve bench fuzz selftest lint types imports fixtures-check tests format fixtures pins clean runtime dev
MAKEFLAGS += --no-builtin-rules --no-print-directory

export PYTHON
bin := .venv/bin

# Tests start servers of their own, and some wait for a clock; three keep two cores busy.
TEST_PROCESSES ?= 3

# Seconds for each entry point, two of which run at a time.
FUZZ_SECONDS ?= 30

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: runtime ## five software phones, two woken by push, two requests, one offline proof; under a minute
	@$(bin)/quorumkey-relay demo

demo-protected: runtime ## a dangerous call that waits for a second administrator and runs once; under a minute
	@$(bin)/python -m examples.workshop.demo

demo-jit: runtime ## a role that a peer approves, that ends by itself, and its proof; under a minute
	@$(bin)/python -m examples.jit_access.demo

serve: runtime ## a relay on 127.0.0.1:8080 with its data under ./data
	@scripts/serve

test: dev lint types imports fixtures-check selftest tests ## every check and every test

bench: dev ## the figures of docs/performance.md, measured here
	@$(bin)/python -m bench

lint: dev ## style and format, changing nothing
	$(bin)/ruff check
	$(bin)/ruff format --check

types: dev ## mypy and pyright, both strict
	$(bin)/mypy
	$(bin)/pyright

imports: dev ## the directions between packages
	$(bin)/lint-imports --no-logo --no-cache

fixtures-check: dev ## fixtures/ is what its generators write
	$(bin)/python -m fixtures.generate_vectors --check
	$(bin)/quorumkey-attest make-fixtures fixtures/attestation --check

selftest: dev ## each attestation check refuses its own cases, and nothing else does
	$(bin)/quorumkey-attest selftest --mutate

fuzz: dev ## every entry point of the attestation library, by coverage; some three minutes
	$(bin)/python -m fuzz.attestation all --seconds $(FUZZ_SECONDS)

tests: dev ## the test suite with coverage
	$(bin)/pytest -n $(TEST_PROCESSES) --cov --cov-report=term

format: dev ## let ruff mend what it can
	$(bin)/ruff check --fix
	$(bin)/ruff format

fixtures: dev ## write fixtures/ anew
	$(bin)/python -m fixtures.generate_vectors
	$(bin)/quorumkey-attest make-fixtures fixtures/attestation

pins: ## write constraints.txt anew from what the registry has today
	scripts/pin

clean: ## remove the environment and what the tools left; never ./data
	rm -rf .venv dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@scripts/setup

dev:
	@scripts/setup dev
