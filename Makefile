# make campaign   install into $(VENV) and attack the embedded model
# make test       install the development extras too and run the tests
# make models     tests that want packages of others, which it installs, and have not passed before
# make floor      each test once, on the oldest dependencies that are admitted (Python 3.10 to 3.12)
# make suite      the tests alone
# make check      formatting, lint, doubtful constructs and types
# make docs       the site, in build/site: warnings and broken links are errors
# make package    a source distribution, and its wheel in an empty environment
# make bench      kernels against the limits of memory, and the cost of a trial
# make architectures  published models through every mode: docs/architectures.md
# make atlas      trained models struck in the same ways, as one page: runs/atlas/atlas.html
# make bench-peers  other fault injectors beside this one, in an environment of their own
# make audit      known holes in what it stands on, as OSV's database has them
# make sanitize   the native code under AddressSanitizer and UBSan
# make clean      remove what was built
#
# PYTHON= chooses the interpreter, VENV= the environment, ARGS= adds arguments to the tool that runs.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
# What is never imported need not be compiled: most of what is installed.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
CXX ?= g++
SOURCES := pyproject.toml setup.py MANIFEST.in $(wildcard csrc/*) faultsim/ops/_native.py
PROBE := build/sanitize
PROBED := flip_cpu patch_cpu sample_cpu rank_cpu rank_screen scan_cpu scan_kernel scan_grid limits
SANITIZED := $(CXX) -std=c++17 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -Icsrc -pthread \
  -DFAULTSIM_ISA=baseline
DEPTH := -O1

.PHONY: campaign test suite models floor check audit docs package bench architectures atlas bench-peers sanitize clean

campaign: $(VENV)/.installed
	$(BIN)/faultsim campaign --mode worst-case $(ARGS)

test: sanitize suite

suite: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --junitxml=$(VENV)/tests.xml $(ARGS)

models: $(VENV)/.installed-models
	$(BIN)/python -m pytest --numprocesses auto --not-again=$(VENV)/tests.xml $(ARGS) \
	  $$(grep -rl importorskip tests --include='test_*.py') tests/documents/test_pages.py

floor:
	PIP_CONSTRAINT=tests/floor.txt $(MAKE) suite VENV=$(VENV)-floor ARGS='-m "not slow" --once $(ARGS)'

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml faultsim
	$(BIN)/clang-format --dry-run --Werror csrc/*.h csrc/*.cpp csrc/*.cu tests/native/*.cpp
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/site $(ARGS)

package: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/test_packaging.py $(ARGS)

# It asks OSV's database and fails where that cannot be reached; of PyPI's it would say that nothing
# is known of any package, and pass.
audit: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[audit]'
	$(BIN)/pip-audit --skip-editable --vulnerability-service osv --progress-spinner off $(ARGS)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pytest benchmarks $(ARGS)

# Packages that are not there leave their rows out, and the page says which.
architectures: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.architectures $(ARGS)

# What needs a package or a file that is not there is left out, and said.
atlas: $(VENV)/.installed
	$(BIN)/python -m benchmarks.atlas $(ARGS)

# --no-deps, for one of them asks for torchvision, which would replace torch.
bench-peers:
	$(MAKE) $(VENV)-peers/.installed VENV=$(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --no-deps pytorchfi==0.6.0 mrfi==2.1.0 PyYAML
	$(VENV)-peers/bin/python -m compileall -q faultsim  # as an installer does
	$(VENV)-peers/bin/python -m benchmarks.peers

sanitize: $(PROBE)
	$(PROBE)

build/probe/scan_grid.o: DEPTH = -O0  # its templates take four times as long otherwise

build/probe/%.o: csrc/%.cpp $(wildcard csrc/*.h)
	@mkdir -p build/probe
	$(SANITIZED) $(DEPTH) -c $< -o $@

$(PROBE): tests/native/sanitize.cpp $(PROBED:%=build/probe/%.o) $(wildcard csrc/*.h)
	$(SANITIZED) $(DEPTH) $(filter-out %.h,$^) -o $@

# Editable installs, so that Python changes need no second one; native changes do.
$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
# Oracles of accuracy and AUC, and of attacks; --no-deps, for torchvision would replace torch.
	$(INSTALL) --no-deps 'medmnist>=3.0.2' 'torchattacks>=3.5.1'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-models: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[dev,models]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip

clean:
	rm -rf build dist faultsim/_C*.so *.egg-info
