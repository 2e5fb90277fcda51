# Two commands: `make demo` (a changed picture, with a report) and `make test`. Both need Python >= 3.11 and make only.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# On all cores, and also where PYTHONDONTWRITEBYTECODE is set: importing torch takes 1.3 s in place of 2.9.
COMPILE = $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
WORKERS ?= auto
PASSED = $(VENV)/.passed

# The tests start many programs: what Python compiles of bamkit is kept, whatever the environment says.
test test-all test-rest: export PYTHONDONTWRITEBYTECODE =

.PHONY: docs demo test test-all test-rest lint reference gpu clean

demo: $(VENV)/.installed
	$(BIN)/bamkit demo

test: $(VENV)/.installed
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --record-passed=$(PASSED)

# Everything: also the slow tests, and those that read bamkit's files with the libraries of others.
test-all: $(VENV)/.peers
	$(BIN)/pytest -m '' -n $(WORKERS) --dist loadfile --no-loadscope-reorder --timeout 900

# Of everything what `make test` has not passed: the slow tests, and those that it skipped for want of a library.
test-rest: $(VENV)/.peers
	$(BIN)/pytest -m '' -n $(WORKERS) --dist loadfile --no-loadscope-reorder --timeout 900 --without-passed=$(PASSED)

$(VENV)/.peers: $(VENV)/.installed
	$(PIP) -e '.[dev,peers]'
	@$(COMPILE)
	@touch $@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# With a CUDA device and a CUDA build of torch in the environment (see docs/install.md): tests, then figures, in at most nine minutes.
gpu: $(VENV)/.installed
	$(BIN)/python benchmarks/gpu.py

reference: $(VENV)/.installed
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_keywords.py
	$(BIN)/python docs/make_architecture.py

# The documentation as a site, site/index.html; a link that leads nowhere ends it.
docs: $(VENV)/.installed
	$(PIP) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bamkit needs Python >= 3.11; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	@$(COMPILE)
	@touch $@

clean:
	rm -rf $(VENV) build dist demo site
