# Targets say what they do with `make help`.
SHELL := /bin/sh
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin
CARGO ?= cargo
# Some tests make network namespaces, so those who are not root run the test binaries, and only those, with sudo.
NOT_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo yes)
RUN_WITH_SUDO := --config 'target."cfg(unix)".runner=["sudo","-E"]'
FUZZ_SECONDS ?= 20
# Of each of the test binaries that run side by side.
TEST_THREADS ?= 3
FUZZ_TARGETS := rtmp_session amf flv_tag codec_header agent_line haproxy_statistics presenter_text nginx_statistics srs_api mediamtx_api libav_protocol haproxy_answers

TESTS := CARGO="$(CARGO)" RUST_TEST_THREADS=$(TEST_THREADS) .ci/test

.PHONY: help run test test-without-libav test-ffmpeg-7 test-compose test-content test-ha lint format bench fuzz build deb

help: ## show this
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, and run the monitor on an embedded demo origin
	@.ci/install build
	$(CARGO) build --release --locked
	target/release/rtmp-hmonitor demo

build: ## build the release binary
	@.ci/install build
	$(CARGO) build --release --locked

test: ## install what is missing and run all tests
	@.ci/install test
	$(TESTS)

test-without-libav: ## run all tests of a build without FFmpeg (about 20 minutes)
	@.ci/install test
	$(TESTS) --no-default-features

test-ffmpeg-7: ## build the worker against the FFmpeg of Debian 13 and run its tests there (as root, about 10 minutes)
	@.ci/install test
	.ci/test-ffmpeg-7

test-ha: ## judge 10,000 random sites, then measure failovers: every fault with every way of checking, HMONITOR_HA_RUNS (default 5) times (about an hour)
	@.ci/install test
	HMONITOR_SCENARIOS=10000 $(CARGO) $(if $(NOT_ROOT),$(RUN_WITH_SUDO)) test --locked --release --test failover
	HMONITOR_HA_LONG=1 $(CARGO) $(if $(NOT_ROOT),$(RUN_WITH_SUDO)) test --locked --release --test ha -- --test-threads=1 --nocapture

test-content: ## play a minute of each fault of picture and sound, HMONITOR_CONTENT_RUNS (default 5) times, then feed decoders with nonsense for five minutes (about 15 minutes)
	@.ci/install test
	HMONITOR_CONTENT_LONG=1 $(CARGO) $(if $(NOT_ROOT),$(RUN_WITH_SUDO)) test --locked --release --test content_checks --test content_workers -- --test-threads=1 --nocapture

test-compose: ## build the images and run the stack of compose/ with a Docker daemon of its own (as root, about 15 minutes)
	.ci/test-compose

deb: ## make a Debian package under target/debian
	@.ci/install build
	$(CARGO) build --release --locked --bins
	@mkdir -p target/package
	target/release/rtmp-hmonitor completions bash > target/package/rtmp-hmonitor.bash
	target/release/rtmp-hmonitor completions zsh > target/package/_rtmp-hmonitor
	target/release/rtmp-hmonitor completions fish > target/package/rtmp-hmonitor.fish
	@$(CARGO) deb --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deb
	$(CARGO) deb --no-build

lint: ## check formatting, lints and docs
	@.ci/install build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

format: ## format the code
	$(CARGO) fmt

bench: ## measure cost and detection time, side by side with alternatives (about 25 minutes)
	@.ci/install test
	$(CARGO) bench --locked --bench cost
	$(CARGO) bench --locked --bench content
	$(CARGO) bench --locked --bench detection
	$(CARGO) bench --locked --bench ping

# libFuzzer needs nightly features; RUSTC_BOOTSTRAP lets the installed stable compiler provide them.
fuzz: ## run every fuzz target for FUZZ_SECONDS (default 20)
	@.ci/install build
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { .ci/install build; echo "installing cargo-fuzz"; $(CARGO) install --locked cargo-fuzz; }
	@for target in $(FUZZ_TARGETS); do \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=512 || exit 1; \
	done
