# make repro: set up and run the pipeline; make paper: the experiments too; make test: set up and run the tests;
# make lint: style.
# Nothing is done twice.

PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.complete

.PHONY: setup repro paper test lint lock

setup: $(SETUP)

# `dvc repro` runs one stage after another. What hangs on different data sets, recognizers or decoders need not wait for each other: it
# runs side by side here, $(LANES) at a time, with the cores shared out. On one GPU: make repro LANES=1.
# Long stages come first (sort -r: fit_transforms before fit_closed_form), so that no lane waits long for the other.
# With -s a lane looks at its own stages alone, not at those before them, which others read at that moment.
LANES ?= 2
CORES := $(shell $(PYTHON) -c "import os; print(max(1, os.cpu_count() // $(LANES)))")
STAGES := dvc stage list --name-only
SIDE_BY_SIDE := OMP_NUM_THREADS=$(CORES) xargs -r -P $(LANES) -L 1 dvc --wait-for-lock repro -s

repro: export PATH := $(CURDIR)/$(BIN):$(PATH)
repro: $(SETUP)
	-dfd status
	$(STAGES) | sed -nE 's/^fetch@(.*)/& preprocess@\1/p; /^import_recognizer@/p' | $(SIDE_BY_SIDE)
	$(STAGES) | grep '^train_recognizer@' | xargs -r dvc repro
	$(STAGES) | grep '^embed@' | $(SIDE_BY_SIDE)
	$(STAGES) | sed -nE 's/^fit_transforms@(.*)/& verify@\1/p; /^fit_closed_form@/p' | sort -r | $(SIDE_BY_SIDE)
	$(STAGES) | sed -nE 's/^train_decoder@(.*)/& evaluate@\1 invert@\1/p; s/^import_decoder@(.*)/& evaluate_imported@\1 invert_imported@\1/p' | $(SIDE_BY_SIDE)
	$(STAGES) | grep -E '^((attack|disentangle)@|(occlude|cluster|aggregate|reconstruct)$$)' | $(SIDE_BY_SIDE)
	dvc repro

paper: export PATH := $(CURDIR)/$(BIN):$(PATH)
paper: repro
	$(STAGES) experiments/dvc.yaml | grep -E ':train_' | $(SIDE_BY_SIDE)
	$(STAGES) experiments/dvc.yaml | grep -E ':(ablation|backbones|recognizer_loss|template_layer|rivals|adapters|competitors@.*)$$' | $(SIDE_BY_SIDE)
	dvc repro -P

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
