# The front door over CMake. `make help` says what there is. Every target installs the Debian packages it misses.
#   SAN=address,undefined | thread    with sanitizers, in a build folder of its own
#   CMAKE_FLAGS="-DBORINGSSL_ROOT=…"  anything else for CMake
SAN ?=
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
comma := ,
BUILD ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
CONFIGURE = cmake -G Ninja -S . -B $(1) $(2) $(CMAKE_FLAGS) > $(1).log 2>&1 || { cat $(1).log; exit 1; }; \
	grep -h 'BoringSSL:' $(1).log | head -1; rm -f $(1).log
PYTHON = /usr/bin/python3

.PHONY: help build demo run test lint fuzz bench bench-full perf perf-check coverage mutants soak install clean

help:
	@echo 'make demo       builds, starts an issuer, a service and the gate; shows a pass and the refusals'
	@echo 'make run        the same, kept running, with the curl lines to try'
	@echo 'make test       every test (SAN=address,undefined or SAN=thread for sanitizers)'
	@echo 'make build      build/popgate'
	@echo 'make lint       layers, format, clang-tidy, forbidden calls'
	@echo 'make fuzz       every fuzz target for FUZZ_SECONDS in all (default 60)'
	@echo 'make bench      the benchmarks, short;  make bench-full: long'
	@echo 'make soak       the long versions: 10^7 verdicts, 10 minutes of mixed load, 10,000 idle connections, 10^6 replay rounds'
	@echo 'make perf       a profile as one HTML page;  make perf-check: instructions a request against the merge base'
	@echo 'make coverage   branch coverage of the parsers, the decision and the signature engine'
	@echo 'make mutants    deliberate breakages, each of which the suite must catch'
	@echo 'make install    to PREFIX (/usr/local)'

build:
	@scripts/install-packages build
	@$(call CONFIGURE,$(BUILD),-DPOPGATE_TESTS=OFF -DPOPGATE_BENCH=OFF)
	@ninja -C $(BUILD) -j $(JOBS) popgate

# Everything a test needs, quietly: build output is shown only when it fails.
.PHONY: test-build
test-build:
	@scripts/install-packages build demo test
	@$(call CONFIGURE,$(BUILD),-DPOPGATE_TESTS=ON -DPOPGATE_BENCH=ON -DPOPGATE_SANITIZE="$(SAN)")
	@ninja -C $(BUILD) -j $(JOBS) > $(BUILD)/ninja.log 2>&1 || { tail -60 $(BUILD)/ninja.log; exit 1; }

test: test-build
	@$(PYTHON) tests/run.py --build $(BUILD) $(TEST_FLAGS)

demo: build
	@scripts/install-packages demo
	@$(PYTHON) deploy/demo/demo.py --popgate $(BUILD)/popgate

run: build
	@scripts/install-packages demo
	@$(PYTHON) deploy/demo/demo.py --popgate $(BUILD)/popgate --keep

lint:
	@scripts/install-packages build lint test
	@$(call CONFIGURE,$(BUILD),-DPOPGATE_TESTS=ON -DPOPGATE_BENCH=ON)
	@tests/lint/run $(BUILD)

fuzz:
	@scripts/install-packages build fuzz
	@$(call CONFIGURE,build-fuzz,--preset fuzz)
	@ninja -C build-fuzz -j $(JOBS) > build-fuzz/ninja.log 2>&1 || { tail -60 build-fuzz/ninja.log; exit 1; }
	@tests/fuzz/run build-fuzz $(FUZZ_SECONDS)

bench bench-full:
	@scripts/install-packages build bench
	@$(call CONFIGURE,build-bench,-DCMAKE_BUILD_TYPE=Release -DPOPGATE_TESTS=OFF -DPOPGATE_BENCH=ON)
	@ninja -C build-bench -j $(JOBS) > build-bench/ninja.log 2>&1 || { tail -60 build-bench/ninja.log; exit 1; }
	@bench/run build-bench $(if $(filter bench-full,$@),full,short)

# Where the time goes: flame graphs and one HTML page in build-perf/report. Frame pointers, so that stacks are whole; every
# function stays in its own file's object, so that it is known whose it is.
perf:
	@scripts/install-packages build bench
	@$(call CONFIGURE,build-perf,-DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS=-fno-omit-frame-pointer \
	    -DCMAKE_CXX_FLAGS=-fno-omit-frame-pointer -DPOPGATE_LTO=OFF -DPOPGATE_TESTS=OFF -DPOPGATE_BENCH=ON)
	@ninja -C build-perf -j $(JOBS) > build-perf/ninja.log 2>&1 || { tail -60 build-perf/ninja.log; exit 1; }
	@$(PYTHON) perf/profile.py --build build-perf

# Instructions a request against the merge base, at most 3 % more (PERF_FLAGS="--base REVISION").
perf-check:
	@scripts/install-packages build bench
	@CMAKE_FLAGS="$(CMAKE_FLAGS)" $(PYTHON) perf/check.py $(PERF_FLAGS)

coverage:
	@scripts/install-packages build demo test coverage
	@$(call CONFIGURE,build-coverage,--preset coverage)
	@ninja -C build-coverage -j $(JOBS) > build-coverage/ninja.log 2>&1 || { tail -60 build-coverage/ninja.log; exit 1; }
	@find build-coverage -name '*.gcda' -delete
	@$(PYTHON) tests/run.py --build build-coverage --suite unit --suite threads --suite fuzz-corpus
	@$(PYTHON) tests/coverage.py --build build-coverage
	@echo 'The adversarial set of the signature engines, by itself:'
	@$(PYTHON) tests/coverage.py --build build-coverage --adversarial

# Hours are not needed: about three quarters of one. SOAK_SECONDS is the mixed load's part.
SOAK_SECONDS ?= 600
soak: test-build
	@tests/soak/run $(BUILD) $(SOAK_SECONDS)

mutants:
	@scripts/install-packages build demo test
	@CMAKE_FLAGS="$(CMAKE_FLAGS)" $(PYTHON) tests/mutants/run.py --build build-mutants

install: build
	@ninja -C $(BUILD) -j $(JOBS) popgate_library
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build build-*
