# Thin names for what the scripts do.
.PHONY: help run test check gen modules suite bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

run: ## run all four services in one process
	@echo "Building Latchkey (the first time this takes a few minutes)"
	go run ./services/standalone

test: ## run all tests, with PostgreSQL and RabbitMQ where they can be had
	./scripts/test

check: ## everything that CI runs
	./.ci/run

gen: ## generate the code of the contracts
	./scripts/gen

modules: ## bring the go.mod files into line
	./scripts/sync-modules

suite: ## run the four services as processes, on a private PostgreSQL and RabbitMQ
	./scripts/suite

bench: ## measure
	./scripts/bench
