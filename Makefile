# `make demo` and `make test` do everything on a fresh Debian machine as root; what they need, they install.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help deps build image kube demo test test-kernel e2e conformance lint bench-cni bench-policy bench-service bench-datapath clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

deps: ## install the Debian packages that are missing
	@scripts/deps

build: deps ## build the programs into target/dist
	@scripts/build

image: build ## the container image, without a container engine, in target/image
	@scripts/image

kube: ## build a real Kubernetes from its Go modules, for kvsctl lab up --api kubernetes
	@scripts/kube

demo: build ## a three-node cluster in network namespaces: every pod reaches everything, over VXLAN and GRE
	@target/dist/kvsctl lab demo

test: deps ## all tests
	@scripts/test

test-kernel: deps ## live tests on the kernel's datapath, in a virtual machine with Debian's kernel
	@scripts/test-kernel

e2e: build image kube ## live tests on a real Kubernetes alone: its own, an upgrade among them, and the simulated one's suites on real pods
	@scripts/previous
	@scripts/e2e

conformance: build image kube ## upstream's suites on a real Kubernetes: network, netpol, cyclonus
	@for suite in network netpol cyclonus; do scripts/conformance $$suite; done

lint: ## formatting, clippy, and cargo-deny where it is installed
	@scripts/lint

bench-cni: build ## CNI ADD and DEL beside bridge + host-local; time to a ready lab; memory of each program
	@scripts/bench cni

bench-policy: build ## NetworkPolicy: time, memory, flows, cost of an event and of a new datapath flow, beside other encodings
	@scripts/bench policy

bench-service: build ## Services: from nothing, per change of an endpoint, per connection among few and many
	@scripts/bench service

bench-datapath: build ## packets between pods, on the kernel's datapath: throughput, connections, latency, beside OVS alone and a Linux bridge
	@scripts/bench datapath

clean: ## remove what was built
	cargo clean
