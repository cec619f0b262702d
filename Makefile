# A thin front of CMake. `make help` lists the targets.
BUILD ?= build
CCACHE := $(shell command -v ccache)
CONFIGURE = cmake -S . -G Ninja $(if $(CCACHE),-DCMAKE_C_COMPILER_LAUNCHER=ccache)
CONFIGURED = .ci/quietly $(BUILD)/configure.log $(CONFIGURE) -B $(BUILD)
C_FILES = $(shell find core plugins spec/unit -type f -name '*.[ch]')

.DEFAULT_GOAL := help
.PHONY: help setup build tests run demo test k8s-check k8s-tools servers python-services interop chaos bench image image-test k8s-drill check lint editor-check asan tsan docs docs-tour format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the Debian packages that are missing, for all targets
	@.ci/setup

build: ## build the engine, build/tidemill
	@.ci/setup build
	@$(CONFIGURED)
	@ninja -C $(BUILD) tidemill tidemill-media modules

tests: ## build the unit tests too
	@.ci/setup build test
	@$(CONFIGURED) -DTIDE_TESTS=ON
	@ninja -C $(BUILD)

run: build ## serve in the foreground until Ctrl-C: gateway :8080, auth :5000, admin :9090
	@exec $(BUILD)/tidemill run --dev

demo: build $(if $(filter cluster,$(PROFILE)),servers) ## one video through the HTTP API (VIDEO=path takes yours; PROFILE=cluster: on servers)
	@.ci/setup demo
	@BUILD=$(BUILD) PROFILE=$(PROFILE) .ci/demo "$$VIDEO"

test: tests servers python-services k8s-tools ## run every test
	@BUILD=$(BUILD) .ci/test

k8s-check: build k8s-tools ## render the manifests and hold the rules of k8s/check against them
	@BUILD=$(BUILD) .ci/test k8s

k8s-tools:
	@.ci/setup k8s
	@k8s/check/install $(BUILD)/k8s-check

servers: ## what the servers for tests and for the cluster demo need
	@.ci/setup servers
	@spec/servers/install $(BUILD)/servers

chaos: build servers ## uploads while every part is killed and frozen (CHAOS_MINUTES=10: the long run)
	@BUILD=$(BUILD) python3 -B spec/chaos $(BUILD)/chaos

python-services:
	@spec/interop/python/install $(BUILD)/interop

interop: build servers python-services ## each service in turn as a Python program, the others as they are (RUN=3: one run)
	@.ci/setup demo
	@BUILD=$(BUILD) python3 -B spec/servers run $(BUILD)/interop/venv/bin/python -B spec/interop $(RUN)

bench: build servers python-services ## measure against nginx, Flask, ffmpeg and MoviePy (ONLY=validate: one row)
	@.ci/setup bench
	@spec/bench/peers/install $(BUILD)/bench
	@ninja -C $(BUILD) tidemill-unguarded
	@BUILD=$(BUILD) python3 -B spec/bench $(ONLY)

image: ## build the container image, build/image/tidemill.tar (DEBIAN=12: on that release)
	@.ci/setup image
	@k8s/image/build

image-test: ## the image under read-only root and without a right: each bundle, and videos through all four
	@.ci/setup image
	@.ci/test image

k8s-drill: ## the system on the cluster of KUBECONFIG, while pods go and scripts change; K8S_LOAD hands it build/image/*.tar
	@.ci/setup demo
	@k8s/drill/install $(BUILD)/drill
	@python3 -B k8s/drill $(BUILD)

check: lint ## format, lint, build with warnings as errors, then every test
	@$(MAKE) --no-print-directory BUILD=build-check CONFIGURE='$(CONFIGURE) -DTIDE_WERROR=ON' test

lint: ## format and lint only
	@.ci/setup build check
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --std=c11 -I core --force \
	    -D TIDE_VERSION='"lint"' --suppressions-list=.ci/cppcheck -j2 core plugins
	luacheck --quiet --std luajit --max-line-length 150 --exclude-files core/script/lua/sandbox.lua -- \
	    core/bind/lua core/script/lua
	luacheck --quiet --std luajit --read-globals tide --max-line-length 150 --exclude-files '**/spec/**' -- scripts plugins
	luacheck --quiet --std luajit+busted --read-globals tide --max-line-length 150 -- scripts/*/spec plugins/*/spec spec/tide

editor-check: build ## what editors say of the Lua that is shipped (builds emmylua_check by cargo, once: minutes)
	@.ci/setup demo
	@spec/editor/install $(BUILD)/editor
	@spec/editor/check $(BUILD)/tidemill $(BUILD)/editor/bin/emmylua_check

asan: ## every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory BUILD=build-asan CONFIGURE='$(CONFIGURE) -DTIDE_SANITIZE=address,undefined' tests servers python-services k8s-tools
	@BUILD=build-asan .ci/sanitize asan

tsan: ## the unit tests of what has threads, and reloads, under ThreadSanitizer
	@$(MAKE) --no-print-directory BUILD=build-tsan CONFIGURE='$(CONFIGURE) -DTIDE_SANITIZE=thread' tests
	@BUILD=build-tsan .ci/sanitize tsan

docs: build ## write docs/lua-api.md from the description of the API
	@$(BUILD)/tidemill types --reference >docs/lua-api.md

docs-tour: build ## record docs/tour.md: run its commands and write down what they print
	@.ci/setup demo
	@PATH="$(abspath $(BUILD)):$$PATH" python3 -B spec/e2e/tour.py docs/tour.md

format: ## format the C sources
	@.ci/setup check
	clang-format -i $(C_FILES)

clean: ## remove what was built
	rm -rf build build-check build-asan build-tsan
