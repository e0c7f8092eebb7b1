# `make` prints the targets. Everything that is made goes to build/, but for the
# extension module, which an editable installation keeps beside its package, and
# node_modules/ and prebuilds/, which Node looks for beside package.json.

PYTHON ?= python3
CC ?= cc
VENV := build/venv
E2E_VENV := build/e2e/venv
RESULTS := build/results
PIP_INSTALL := -m pip install -q --disable-pip-version-check

# A caller's wish to have no byte code would make every start of pytest slower.
unexport PYTHONDONTWRITEBYTECODE
export PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ------------------------------------------------------------------- for users

.PHONY: help
help: ## Print the targets
	@echo 'usage: make TARGET [PYTHON=python3.X]'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    expand -t 20

.PHONY: demo
demo: build/e2e/venv.stamp ## Run a real suite serially and in parallel, side by side
	@$(E2E_VENV)/bin/python tests/e2e/parity.py demo

RUNNERS := test-c test-c-tsan test-valgrind test-python test-e2e test-js test-web

.PHONY: test
test: ## Run every test of the project, with all set-up
	@rm -rf $(RESULTS)
	+@status=0; $(MAKE) --no-print-directory -k $(RUNNERS) || status=1; \
	echo; $(PYTHON) tools/summary.py $(RESULTS); \
	if [ $$status = 0 ]; then echo 'every test passed'; else \
	    echo 'some tests FAILED (above)'; exit 1; fi

# ---------------------------------------------------------------------- set-up

# Changes when PYTHON does, and with it the virtual environments.
build/python.id: FORCE
	@mkdir -p build
	@id="$$(command -v $(PYTHON)) $$($(PYTHON) --version 2>&1)"; \
	[ "$$id" = "$$(cat $@ 2>/dev/null)" ] || echo "$$id" >$@
.PHONY: FORCE
FORCE:

# System packages: installed only where something is missing.
build/setup-%.stamp: tools/setup.sh build/python.id
	@tools/setup.sh $*
	@touch $@

# Scripts of packages stay off: none of ours needs one to be installed.
build/npm.stamp: package.json package-lock.json build/node.id | build/setup-js.stamp
	@npm ci --ignore-scripts --no-audit --no-fund >build/npm.log 2>&1 || \
	    { tail -n 20 build/npm.log; exit 1; }
	@touch $@

# Changes when node does, and with it the addon.
build/node.id: FORCE
	@mkdir -p build
	@id="$$(command -v node) $$(node --version 2>&1)"; \
	[ "$$id" = "$$(cat $@ 2>/dev/null)" ] || echo "$$id" >$@

# The groups of pyproject.toml that the tests need; `lint` has its own.
$(VENV).stamp: pyproject.toml tools/venv.sh build/python.id | build/setup-build.stamp
	@echo 'making $(VENV)'
	@tools/venv.sh $(VENV)
	@$(VENV)/bin/python $(PIP_INSTALL) --group build --group test
	@touch $@

build/lint.stamp: $(VENV).stamp
	@$(VENV)/bin/python $(PIP_INSTALL) --group lint
	@touch $@

C_SOURCES := $(sort $(wildcard csrc/*.c))
C_HEADERS := $(wildcard csrc/*.h csrc/include/*.h python/_core/*.h)
# What is loaded only where a run goes across machines, with libraries of its own.
QUEUE_SOURCES := $(sort $(wildcard csrc/queue/*.c))
CORE_SOURCES := $(C_SOURCES) $(C_HEADERS) $(QUEUE_SOURCES) $(wildcard csrc/queue/*.h) \
    $(sort $(wildcard python/_core/*.c python/_queue/*.[ch]))
PY_SOURCES := $(shell find python -path '*.egg-info' -prune -o -name '*.py' -print \
    -o -name '*.pyi' -print -o -name py.typed -print -o -name '*.json' -print \
    -o -name '*.cjs' -print)
PACKAGING := setup.py pyproject.toml MANIFEST.in README.md

# The page of HTML reports, and beside it that of `qe ui`: kept with the code that fills them.
WEB_PAGE := python/pytest_qe/web/report.html
build/web.stamp: tools/web.js $(wildcard web/* web/src/* web/src/live/*) build/npm.stamp
	@node tools/web.js $(WEB_PAGE)
	@touch $@

.PHONY: build
build: build/editable.stamp ## Build the extension into the virtual environment

# After the source distribution: both write the same egg-info.
build/editable.stamp: $(CORE_SOURCES) setup.py pyproject.toml $(VENV).stamp | build/sdist.stamp
	@echo 'building pytest_qe._core and _queue'
	@rm -rf build/lib.* build/bdist.*
	@QE_WERROR=1 $(VENV)/bin/python $(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

.PHONY: dist
dist: build/sdist.stamp build/addon.stamp ## Make source distribution, wheel and npm package in build/dist
	@rm -rf build/lib* build/bdist.*
	@$(VENV)/bin/python -m pip wheel -q --disable-pip-version-check --no-deps \
	    --no-build-isolation -w build/dist .
	@npm pack --ignore-scripts --silent --pack-destination build/dist >/dev/null
	@ls -1 build/dist

build/sdist.stamp: $(CORE_SOURCES) $(PY_SOURCES) $(PACKAGING) $(VENV).stamp build/web.stamp
	@rm -rf build/dist
	@$(VENV)/bin/python -m build --sdist --no-isolation -o build/dist . \
	    >build/sdist.log 2>&1 || { tail -n 20 build/sdist.log; exit 1; }
	@touch $@

# What users get: the source distribution, installed into a clean environment.
build/e2e/venv.stamp: build/sdist.stamp tools/venv.sh build/python.id | build/setup-suites.stamp
	@echo 'installing the source distribution into $(E2E_VENV)'
	@mkdir -p build/e2e
	@[ -x $(E2E_VENV)/bin/python ] && [ ! build/python.id -nt $@ ] || \
	    tools/venv.sh $(E2E_VENV)
	@$(E2E_VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps build/dist/*.tar.gz
	@$(E2E_VENV)/bin/python $(PIP_INSTALL) build/dist/*.tar.gz
	@touch $@

# --------------------------------------------------------------------- C tests

PACKAGES := libuv libcjson sqlite3 cmocka
QUEUE_PACKAGES := hiredis openssl
C_FLAGS := -std=c11 -D_GNU_SOURCE -g -fno-omit-frame-pointer -fvisibility=hidden \
    -Wall -Wextra -Werror -Icsrc -Icsrc/include -Icsrc/queue -Itests/c -MMD -MP
FLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := -O1 -fsanitize=thread
FLAGS_plain := -O1

C_TESTS := $(sort $(basename $(notdir $(wildcard tests/c/test_*.c))))
TSAN_TESTS := $(sort $(basename $(notdir $(wildcard tests/c/tsan_*.c tests/c/test_arena*.c tests/c/test_queue*.c))))
C_PROGRAMS := $(sort $(C_TESTS) $(TSAN_TESTS))
# Other files in tests/c are shared: a program is linked with those that it uses.
C_SHARED := $(filter-out $(C_TESTS) tsan_%,$(basename $(notdir $(wildcard tests/c/*.c))))
# Tests that stop a worker at each step of a claim define QE_FAULT_POINTS, and
# are linked with these files of the core built with it.
FAULT_TESTS := $(notdir $(basename $(shell grep -l QE_FAULT_POINTS tests/c/test_*.c)))
FAULT_OBJECTS := qe_arena_claim.o qe_worker.o
# Tests that make allocations fail include alloc_fault.h, which wraps these.
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
# Tests that make forks fail include fork_fault.h, which wraps that.
WRAP_FORK := -Wl,--wrap=fork
# Tests that make changes around a worker fail include around_fault.h, which wraps these.
WRAP_AROUND := -Wl,--wrap=unshare,--wrap=mount,--wrap=mprotect,--wrap=sched_setaffinity \
    -Wl,--wrap=sched_setscheduler,--wrap=syscall

# $1: kind of build. Objects, two archives, and a rule for each program.
define C_BUILD
build/c/$1/%.o: %.c Makefile | build/setup-build.stamp build/setup-test.stamp
	@mkdir -p $$(@D)
	@$$(CC) $$(C_FLAGS) $$(FLAGS_$1) $$$$(pkg-config --cflags $$(PACKAGES) $$(QUEUE_PACKAGES)) \
	    -c -o $$@ $$<

build/c/$1/fault/%.o: csrc/%.c Makefile | build/setup-build.stamp build/setup-test.stamp
	@mkdir -p $$(@D)
	@$$(CC) $$(C_FLAGS) $$(FLAGS_$1) -DQE_FAULT_POINTS \
	    $$$$(pkg-config --cflags $$(PACKAGES)) -c -o $$@ $$<
$$(FAULT_TESTS:%=build/c/$1/%): $$(FAULT_OBJECTS:%=build/c/$1/fault/%)

build/c/$1/libqe.a: $$(C_SOURCES:%.c=build/c/$1/%.o) $$(QUEUE_SOURCES:%.c=build/c/$1/%.o)
build/c/$1/libshared.a: $$(C_SHARED:%=build/c/$1/tests/c/%.o)
build/c/$1/libqe.a build/c/$1/libshared.a:
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^

$$(C_PROGRAMS:%=build/c/$1/%): build/c/$1/%: build/c/$1/tests/c/%.o build/c/$1/libshared.a build/c/$1/libqe.a
	@$$(CC) $$(FLAGS_$1) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) \
	    $$$$(grep -q '"alloc_fault.h"' tests/c/$$*.c && echo '$$(WRAP)') \
	    $$$$(grep -q '"fork_fault.h"' tests/c/$$*.c && echo '$$(WRAP_FORK)') \
	    $$$$(grep -q '"around_fault.h"' tests/c/$$*.c && echo '$$(WRAP_AROUND)') \
	    $$$$(pkg-config --libs $$(PACKAGES) $$(QUEUE_PACKAGES)) -lpthread -lm
endef
$(foreach kind,asan tsan plain,$(eval $(call C_BUILD,$(kind))))
-include $(wildcard build/c/*/csrc/*.d build/c/*/csrc/*/*.d build/c/*/fault/*.d build/c/*/tests/c/*.d)

RUN_C := $(PYTHON) tools/run_c.py

.PHONY: test-c
test-c: $(C_TESTS:%=build/c/asan/%) ## Test the core in C under Address- and UndefinedBehaviorSanitizer
	@ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=print_stacktrace=1 $(RUN_C) c-asan-ubsan $(RESULTS) $^

# Address randomisation of recent kernels is more than ThreadSanitizer copes with.
.PHONY: test-c-tsan
test-c-tsan: $(TSAN_TESTS:%=build/c/tsan/%) ## Test the arena in C under ThreadSanitizer
	@TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 $(RUN_C) c-tsan $(RESULTS) $^ \
	    -- $$(setarch -R true 2>/dev/null && echo setarch -R)

# Valgrind 3.19 has no pidfd_open: this also takes the way without it.
.PHONY: test-valgrind
test-valgrind: $(C_TESTS:%=build/c/plain/%) ## Test the core in C under valgrind
	@QE_TEST_VALGRIND=1 $(RUN_C) c-valgrind $(RESULTS) $^ -- valgrind -q \
	    --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	    --child-silent-after-fork=yes

# ---------------------------------------------------------------- Python tests

.PHONY: test-python
test-python: build/editable.stamp build/npm.stamp build/setup-test.stamp build/setup-tools.stamp ## Test the pytest plugin
	@$(VENV)/bin/python -m pytest tests/python -q -n 3 --dist worksteal \
	    --junitxml=$(RESULTS)/python.xml </dev/null

.PHONY: test-e2e
test-e2e: build/e2e/venv.stamp ## Compare real suites, serial against parallel; test the packaging
	@QE_E2E_PYTHON=$(CURDIR)/$(E2E_VENV)/bin/python $(VENV)/bin/python -m pytest tests/e2e -q \
	    -p no:qe --junitxml=$(RESULTS)/e2e.xml </dev/null

# ------------------------------------------------------------ JavaScript tests

build/addon.stamp: binding.gyp tools/addon.sh $(wildcard js/addon/*) $(C_SOURCES) $(C_HEADERS) \
    $(wildcard csrc/queue/*.[ch]) build/npm.stamp | build/web.stamp
	@echo 'building the addon for Node'
	@QE_WERROR=1 tools/addon.sh
	@touch $@

JS_TESTS := $(sort $(wildcard tests/js/test_*.js))
# What a caller has set for another run must not reach the tests.
JS_CLEAN = env $$(env | sed -n 's/^\(QE_[A-Z0-9_]*\|JEST_[A-Z0-9_]*\|CI\)=.*/-u \1/p') \
    -u NODE_ENV -u NODE_OPTIONS -u NODE_PATH

.PHONY: test-js
test-js: build/addon.stamp build/editable.stamp build/setup-tools.stamp ## Test the Node addon and qe-jest
	@mkdir -p $(RESULTS)
	@$(JS_CLEAN) timeout -k 10 2700 node --test --test-concurrency=2 \
	    --test-reporter=spec --test-reporter-destination=stdout \
	    --test-reporter=junit --test-reporter-destination=$(RESULTS)/js.xml \
	    $(JS_TESTS) </dev/null

# Reports in a real browser.
.PHONY: test-web
test-web: build/editable.stamp build/web.stamp build/setup-test.stamp ## Test the HTML report in Chromium
	@mkdir -p $(RESULTS)
	@$(JS_CLEAN) timeout -k 10 600 node --test --test-concurrency=1 \
	    --test-reporter=spec --test-reporter-destination=stdout \
	    --test-reporter=junit --test-reporter-destination=$(RESULTS)/web.xml \
	    $(sort $(wildcard tests/web/test_*.js)) </dev/null

# What the README shows; look at it before it is committed.
.PHONY: screenshot
screenshot: build/editable.stamp build/web.stamp build/setup-test.stamp ## Make the README's picture of the report
	@$(JS_CLEAN) timeout -k 10 300 node tools/screenshot.js docs/report.png
	@echo docs/report.png

# ARGS='part --part=3', ARGS='compare --suite=click': less than all of it.
ARGS ?= full
.PHONY: parity
parity: build/e2e/venv.stamp ## Compare real suites in full: each start method, each distribution
	@$(E2E_VENV)/bin/python tests/e2e/parity.py $(ARGS)

.PHONY: bench
bench: bench-sched build/bench/spawn build/bench/stats build/bench/sprt build/bench/venv.stamp build/e2e/venv.stamp build/bench/js.stamp ## Time all peers side by side; write bench/RESULTS.md (BENCH="--only=TITLE": a part)
	@build/bench/venv/bin/python bench/all.py --suites-python $(E2E_VENV)/bin/python \
	    --js-packages build/bench/js --spawn build/bench/spawn --stats build/bench/stats \
	    --sprt build/bench/sprt $(BENCH)

.PHONY: bench-js
bench-js: build/bench/js.stamp # BENCH='--only=jest --rounds=9': less, or more often
	@$(PYTHON) bench/javascript.py --packages build/bench/js $(BENCH)

.PHONY: bench-flaky
bench-flaky: build/bench/venv.stamp # BENCH='--first=100 --seeds=2': other corpora, or fewer
	@build/bench/venv/bin/python bench/flaky.py $(BENCH)

.PHONY: bench-spawn
bench-spawn: build/bench/spawn
	@$<

.PHONY: bench-stats
bench-stats: build/bench/stats
	@$<

.PHONY: bench-sprt
bench-sprt: build/bench/sprt
	@$<

.PHONY: bench-sched
bench-sched: build/bench/sched_curve
	@$<

# What users get, with the peers beside it.
build/bench/venv.stamp: build/sdist.stamp tools/venv.sh build/python.id
	@mkdir -p build/bench
	@[ -x build/bench/venv/bin/python ] || tools/venv.sh build/bench/venv
	@build/bench/venv/bin/python $(PIP_INSTALL) --group bench
	@build/bench/venv/bin/python $(PIP_INSTALL) build/dist/*.tar.gz
	@build/bench/venv/bin/python $(PIP_INSTALL) --force-reinstall --no-deps build/dist/*.tar.gz
	@touch $@

# The package as users get it, its peers, what the suites use, and another Node: the
# npm package of that is named by the platform.
build/bench/js.stamp: Makefile $(wildcard js/*.js js/*/*.js) build/addon.stamp
	@rm -rf build/bench/js
	@mkdir -p build/bench/js
	@npm pack --ignore-scripts --silent --pack-destination build/bench/js >/dev/null
	@echo '{ "private": true }' >build/bench/js/package.json
	@cd build/bench/js && npm install --ignore-scripts --no-audit --no-fund --no-package-lock \
	    --prefer-offline jest@^30 mocha@^11 lodash@^4 ajv@^8 date-fns@^4 \
	    "node-linux-$$(node -p process.arch)@^22" ./qe-jest-*.tgz >npm.log 2>&1 || \
	    { tail -n 20 npm.log; exit 1; }
	@touch $@

.PHONY: bench-queue
bench-queue: build/bench/queue_sim build/bench/venv.stamp # a run shared by nodes, in virtual time; and its plot
	@$< --csv >build/bench/queue.csv
	@build/bench/venv/bin/python bench/queue_plot.py build/bench/queue.csv docs/queue-sharing.svg

build/bench/queue_sim: bench/queue_model.c bench/queue_load.c bench/queue_node.c \
    bench/queue_server.c \
    csrc/queue/qe_share.c $(wildcard bench/*.h csrc/queue/*.h)
build/bench/%: bench/%.c $(C_SOURCES) $(C_HEADERS) | build/setup-build.stamp
	@mkdir -p $(@D)
	@$(CC) -std=c11 -D_GNU_SOURCE -O2 -DNDEBUG -Icsrc -Icsrc/include -Icsrc/queue -o $@ \
	    $< $(filter-out $< $(C_SOURCES),$(filter %.c,$^)) $(C_SOURCES) \
	    $$(pkg-config --cflags --libs $(filter-out cmocka,$(PACKAGES))) -lpthread -lm

# ----------------------------------------------------------------------- style

C_ALL := $(wildcard csrc/*.[ch] csrc/include/*.h csrc/queue/*.[ch] python/_core/*.[ch] \
    python/_queue/*.[ch] tests/c/*.[ch])

.PHONY: fmt
fmt: build/setup-lint.stamp build/lint.stamp build/npm.stamp ## Lay out all C, Python and JavaScript files
	@clang-format -i $(C_ALL)
	@$(VENV)/bin/ruff check -q --fix .
	@$(VENV)/bin/ruff format -q .
	@npx --no prettier -- --log-level=warn --write .

.PHONY: lint
lint: build/setup-lint.stamp build/lint.stamp build/editable.stamp build/npm.stamp ## Check layout, types and common mistakes
	@clang-format --dry-run -Werror $(C_ALL)
	@if command -v clang-tidy >/dev/null; then \
	    clang-tidy --quiet $(C_SOURCES) -- -std=c11 -D_GNU_SOURCE -Icsrc -Icsrc/include \
	        $$(pkg-config --cflags libuv libcjson sqlite3) 2>build/clang-tidy.log || \
	        { cat build/clang-tidy.log; exit 1; }; \
	else echo 'lint: clang-tidy is not installed, skipped'; fi
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@npx --no tsc -- -p web
	@npx --no eslint -- .
	@npx --no prettier -- --log-level=warn --check .
	@! grep -n '"resolved"' package-lock.json # a registry's host is no one else's business

.PHONY: clean
clean: ## Remove everything that was made
	@rm -rf build prebuilds node_modules python/pytest_qe.egg-info python/pytest_qe/_*.so \
	    python/pytest_qe/web \
	    .mypy_cache .ruff_cache .pytest_cache
	@find python tests tools bench -name __pycache__ -type d -exec rm -rf {} +
