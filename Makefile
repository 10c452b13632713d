# Every target makes its own virtual environment in .venv when it is missing.
#   make demo    install, train on the embedded real peptides, write results/quickstart/report.html
#   make test    install, run the whole test suite
#   make lint    install, check style, types and the direction of imports
#   make docs    install, build the documentation into site/
#   make bench   install, time attention, blocks and training steps against their peers (half an hour)
#   make torture install, kill, damage, attack and fuzz everything again and again (an hour; Linux)
#   make gpu     install, check and measure everything on a GPU, train peptides_func.yaml (see docs/howto/devices.md)
#   make scatter build torch-scatter from source in .venv-scatter, run the tests with it, and measure what it buys
#   make mutants install, change 100 places of the code and count how many the tests notice (half an hour)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: help demo demo-plan test lint docs bench gpu scatter mutants torture clean
help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

# One stamp per set of extras; it is rebuilt when the requirements change. torch comes first and pinned: an unpinned one may fetch gigabytes.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python has no venv; on Debian or Ubuntu: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

demo: demo-plan $(VENV)/.installed-chem
	$(BIN)/python -m graphgym --cfg graphgym_configs/quickstart.yaml
	$(BIN)/python -m pyg_samsa report results/quickstart

demo-plan:
	@echo "demo: install (minutes, the first time only), prepare peptides (seconds), train and test (2 to 3 minutes on two cores), report in results/ (seconds)"

# Plugins are named, because pytest rewrites every module of those that it finds by itself: three seconds for each process.
# Bytecode is kept, whatever the environment says: otherwise each process that a test starts compiles the package again.
test: $(VENV)/.installed-dev
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -p xdist -p hypothesispytest -n $(WORKERS) --dist worksteal --durations 10

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.installed-chem
	$(BIN)/python -m benchmarks.run --suite all

# GPU_FLAGS are passed on, such as GPU_FLAGS="--device cpu" for a dry run.
gpu: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.gpu $(GPU_FLAGS)

# torch-scatter is compiled against the installed torch: without isolation, and for some minutes. It gets an environment
# of its own, so that .venv stays without it.
$(VENV)/.installed-scatter: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check wheel
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps "$$(grep '^torch-scatter==' constraints.txt)"
	@touch $@

scatter:
	$(MAKE) VENV=.venv-scatter .venv-scatter/.installed-scatter
	$(MAKE) VENV=.venv-scatter test
	KINETO_LOG_LEVEL=99 .venv-scatter/bin/python -m benchmarks.scatter

# MUTANT_FLAGS are passed on, such as MUTANT_FLAGS="--seed 2 --count 30".
mutants: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.mutants $(MUTANT_FLAGS)

# TORTURE_FLAGS are passed on, such as TORTURE_FLAGS="--kills 100".
torture: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.torture $(TORTURE_FLAGS)

clean:
	rm -rf $(VENV) .venv-scatter site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
