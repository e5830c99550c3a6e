# make repro: set up and run the pipeline; make paper: the experiments too; make test: set up and run the tests;
# make lint: style.
# Nothing is done twice.

PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.complete

.PHONY: setup repro paper test lint lock

setup: $(SETUP)

repro: $(SETUP)
	-$(BIN)/dfd status
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro

paper: $(SETUP)
	-$(BIN)/dfd status
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro -P

test: $(SETUP)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest

lint: $(SETUP)
	$(BIN)/ruff check src stages tests benchmarks
	$(BIN)/ruff format --check src stages tests benchmarks

# uv installs from the lock; it is put into the environment by pip where the machine has none.
# Compiled at once: every stage is a process of its own, and would otherwise compile its imports each time.
$(SETUP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	UV="$$(command -v uv || echo $(BIN)/uv)"; \
	"$$UV" pip install --python $(BIN)/python --compile-bytecode -r requirements.lock && \
	"$$UV" pip install --python $(BIN)/python --no-deps --editable .
	touch $@

# Lock the newest versions that pyproject.toml allows, for every platform. It needs uv.
lock:
	uv pip compile --universal --generate-hashes --upgrade --group dev pyproject.toml \
	  --custom-compile-command "make lock" -o requirements.lock
