# `make help` lists the targets. Each target creates .venv first if it is missing.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup frameworks demo profile profile-lucid profile-torch profile-mlx ranks scaling noise qualify parity experiments curve layers lines-lucid lines-torch lines-mlx flame-lucid flame-torch flame-mlx report history matrix sample test lint format bench clean lock

PRESET ?= quick
DEVICE ?= auto
DATA ?= auto
RUNS ?= runs
OUT ?= reports/out
MATRIX ?= docs/sample/versions.toml

PYTHON := .venv/bin/python
INSTALLED := .venv/.ready
READY := .venv/.linked
TOOLS := .venv/tools
PROFILER := $(PYTHON) -m profiler
STORES := --runs-dir "$(RUNS)" --out "$(OUT)"
NETWORK := $(if $(MODEL),--model $(MODEL)) $(if $(IMAGE_SIZE),--image-size $(IMAGE_SIZE))
WORKLOAD := --preset $(PRESET) --device $(DEVICE) --data "$(DATA)" $(NETWORK) \
  $(if $(BATCH),--batch-size $(BATCH)) $(if $(STEPS),--steps $(STEPS)) $(if $(EPOCHS),--epochs $(EPOCHS)) \
  $(if $(REPEATS),--repeats $(REPEATS)) $(if $(SEED),--seed $(SEED)) $(if $(ALLOCATOR),--allocator $(ALLOCATOR)) --runs-dir "$(RUNS)"
WORK := $(WORKLOAD) $(if $(MINUTES),--minutes $(MINUTES)) --out "$(OUT)"

help: ## this list
	@echo "make TARGET [PRESET=smoke|quick|epoch|article|curve] [DEVICE=auto|cpu|gpu|mps|cuda] [DATA=auto|synthetic|PATH]"
	@echo "            [MODEL=resnet18|resnet34|resnet50|lenet5] [IMAGE_SIZE=32]"
	@echo "            [BATCH=] [STEPS=] [EPOCHS=] [REPEATS=] [MINUTES=] [SEED=] [ALLOCATOR=default|keep] [RUNS=runs] [OUT=reports/out]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  %-16s %s\n' "$$name" "$$text"; done

setup: $(READY) ## create .venv with the pinned packages; does nothing if it is up to date

OTHERS := .venv/.frameworks
frameworks: $(OTHERS) ## install JAX, Keras and tinygrad too, which setup leaves out

profile: $(READY) ## the main job: both frameworks, then the report
	@$(PROFILER) profile --frameworks torch,lucid $(WORK)

profile-lucid: $(READY) ## Lucid alone, then the report with the newest run of the others
	@$(PROFILER) profile --frameworks lucid $(WORK)

profile-torch: $(READY) ## PyTorch alone, then the report with the newest run of the others; NPROC=2 trains two ranks, and shows who waits
	@$(PROFILER) profile --frameworks torch $(WORK) $(if $(NPROC),--nproc $(NPROC))

noise: $(READY) ## compare PyTorch with itself, about 10 minutes: the smallest difference that can be claimed on this machine
	@$(PROFILER) noise --framework torch $(WORKLOAD)

qualify: $(READY) ## measure how often the gate of compare and gate is right for PyTorch on this machine, about two hours
	@$(PROFILER) qualify --framework torch $(WORKLOAD) $(if $(MINUTES),--minutes $(MINUTES))

profile-mlx: $(READY) ## native MLX alone, then the report with the newest run of the others; NPROC=2 as above
	@$(PROFILER) profile --frameworks mlx $(WORK) $(if $(NPROC),--nproc $(NPROC))

ranks: $(READY) ## rebuild the report of the newest distributed training
	@$(PROFILER) ranks --runs-dir "$(RUNS)" --out "$(OUT)/ranks"

scaling: $(READY) ## PyTorch alone, on one rank and on two, with equally many threads: speed-up, efficiency, and what is lost
	@$(PROFILER) scaling --framework torch $(WORKLOAD) --out "$(OUT)/scaling"

DRILL := --device $(DEVICE) --data "$(DATA)" $(NETWORK) $(if $(BATCH),--batch-size $(BATCH)) $(if $(STEPS),--steps $(STEPS)) \
  $(if $(ALLOCATOR),--allocator $(ALLOCATOR)) --runs-dir "$(RUNS)"
FRAMEWORKS ?= torch lucid
layers: $(READY) ## forward and backward of FRAMEWORKS="torch lucid", by layer and by operator category, then the report
	@for framework in $(FRAMEWORKS); do \
	  $(PROFILER) layers --operators --framework $$framework $(DRILL) || exit $$?; done
	@$(PROFILER) report $(STORES)

COMMA := ,
parity: $(READY) ## compare what FRAMEWORKS="torch lucid" compute from the same weights on the same batches, layer by layer
	@$(PROFILER) parity --frameworks $(subst $() ,$(COMMA),$(strip $(FRAMEWORKS))) --devices $(DEVICE),$(DEVICE) \
	  --data "$(DATA)" $(NETWORK) $(if $(BATCH),--batch-size $(BATCH)) $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED)) \
	  --runs-dir "$(RUNS)" --out "$(OUT)/parity"

TESTS := --preset $(PRESET) --device $(DEVICE) --data "$(DATA)" $(NETWORK) \
  $(if $(BATCH),--batch-size $(BATCH)) $(if $(STEPS),--steps $(STEPS)) \
  $(if $(SEED),--seed $(SEED)) $(if $(ALLOCATOR),--allocator $(ALLOCATOR)) $(if $(MINUTES),--minutes $(MINUTES)) $(STORES)
experiments: $(READY) ## test the explanations of the gap on FRAMEWORKS="torch lucid", 30 minutes each, then the report
	@for framework in $(FRAMEWORKS); do \
	  $(PROFILER) experiment all --framework $$framework $(TESTS) || exit $$?; done

curve: $(READY) ## train FRAMEWORKS="torch lucid" for 20 epochs on a small subset, and test what makes their accuracies differ, about an hour
	@$(PROFILER) curve --frameworks $(subst $() ,$(COMMA),$(strip $(FRAMEWORKS))) --device $(DEVICE) --data "$(DATA)" $(NETWORK) \
	  $(if $(BATCH),--batch-size $(BATCH)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ALLOCATOR),--allocator $(ALLOCATOR)) --runs-dir "$(RUNS)" --out "$(OUT)/curve"

flame-lucid: $(READY) ## sample Lucid's Python stacks by phase (py-spy)
	@$(PROFILER) flame --framework lucid $(DRILL)

flame-torch: $(READY) ## the same for PyTorch
	@$(PROFILER) flame --framework torch $(DRILL)

flame-mlx: $(READY) ## the same for MLX
	@$(PROFILER) flame --framework mlx $(DRILL)

HOT = ls "$(RUNS)"/drilldown/*-flame-$(1)-*/hot.txt >/dev/null 2>&1 || $(PROFILER) flame --framework $(1) $(DRILL)
lines-lucid: $(READY) ## time the lines of the hot functions that flame-lucid found (line_profiler)
	@$(call HOT,lucid)
	@$(PROFILER) lines --framework lucid $(DRILL)

lines-torch: $(READY) ## the same for PyTorch
	@$(call HOT,torch)
	@$(PROFILER) lines --framework torch $(DRILL)

lines-mlx: $(READY) ## the same for MLX
	@$(call HOT,mlx)
	@$(PROFILER) lines --framework mlx $(DRILL)

report: $(READY) ## rebuild the report from the newest stored runs; SVG=1 also writes the pictures as SVG
	@$(PROFILER) report $(STORES) $(if $(SVG),--svg)

sample: $(READY) ## regenerate docs/sample from the runs stored in it
	@for name in batch-128 batch-8 frameworks experiments curve; do \
	  $(PROFILER) report --runs-dir docs/sample/runs/$$name --out docs/sample/$$name || exit $$?; done
	@$(PROFILER) matrix docs/sample/versions.toml --show --runs-dir docs/sample/runs --out docs/sample/versions
	@for name in ranks late-rank; do \
	  $(PROFILER) ranks --runs-dir docs/sample/runs/$$name --out docs/sample/$$name || exit $$?; done
	@for folder in docs/sample/parity/*; do \
	  $(PROFILER) parity "$$folder/parity.json" --out "$$folder" || exit $$?; done

history: $(READY) ## seconds per epoch of all stored runs, oldest first: a table, a picture and a CSV
	@$(PROFILER) history --runs-dir "$(RUNS)" --out "$(OUT)/history"

matrix: $(READY) $(TOOLS)/.ready ## run every version of MATRIX=docs/sample/versions.toml in an environment of its own, and show what changed; goes on where it was interrupted
	@$(PROFILER) matrix "$(MATRIX)" --runs-dir "$(RUNS)" --out "$(OUT)/matrix"

DEMO := $(PROFILER) run --framework fake --data synthetic --train-limit 12800 --test-limit 1280 --steps 80 \
  --runs-dir "$(RUNS)/demo" --quiet
demo: $(READY) ## two scripted frameworks with known costs, about 20 s, no deep-learning library
	@$(DEMO) --label fast --fake-costs fetch=1,collate=2,to_device=1,forward=12,backward=24,step=5,metrics=1,evaluate=10
	@$(DEMO) --label slow --fake-lazy \
	  --fake-costs fetch=1,collate=6,to_device=2,forward=30,backward=80,step=12,metrics=1,evaluate=28
	@$(PROFILER) report --runs-dir "$(RUNS)/demo" --out "$(OUT)/demo"

test: $(READY) ## the tests
	@$(PYTHON) -m pytest -n auto --dist loadfile

lint: $(READY) ## ruff (lint and format) and mypy strict
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

format: $(READY) ## apply ruff's fixes and formatting
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

bench: $(READY) ## run the slow and statistical checks and print their results
	@$(PYTHON) -m pytest -s -m bench -n 0 -p no:randomly

clean: ## remove reports and caches; keeps runs/ and .venv
	rm -rf reports/out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find profiler workloads reports tests -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(READY) ## pin all packages again from pyproject.toml
	@$(PYTHON) -m pip install --quiet uv
	@$(PYTHON) -m uv pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.12 --quiet \
	  --custom-compile-command "make lock" -o requirements.txt
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["matrix"], sep="\n")' | \
	  $(PYTHON) -m uv pip compile - --universal --python-version 3.12 --quiet \
	  --custom-compile-command "make lock" -o requirements-matrix.txt
	@$(PYTHON) -m uv pip compile pyproject.toml --extra jax --extra keras --extra tinygrad --constraints requirements.txt \
	  --universal --python-version 3.12 --quiet --custom-compile-command "make lock" -o requirements-frameworks.txt

# Use the newest Python that runs and meets the packages' needs. Lucid compiles a small extension, so Python.h is
# required; on a Mac, only arm64 interpreters have wheels.
CHECK := import sys, ensurepip, sqlite3, venv, os, platform, sysconfig; \
  sys.exit(not ((3, 12) <= sys.version_info[:2] <= (3, 14) \
  and os.path.exists(sysconfig.get_path("include") + "/Python.h") and not sysconfig.get_config_var("Py_GIL_DISABLED") \
  and (sys.platform != "darwin" or platform.machine() == "arm64")))
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
$(INSTALLED): requirements.txt
	@if ! command -v c++ >/dev/null; then \
	  echo "error: a C++ compiler is needed (c++ on PATH): Lucid compiles a small extension;" \
	    "install g++ or Xcode's command-line tools and run make again" >&2; exit 2; \
	fi
	@if ! { $(PYTHON) -c '$(CHECK)' && $(PYTHON) -m pip --version; } >/dev/null 2>&1; then \
	  for minor in 14 13 12; do \
	    for candidate in python3.$$minor "$(PYENV)"/3.$$minor.*/bin/python python3; do \
	      if "$$candidate" -c '$(CHECK)' 2>/dev/null; then found=$$candidate; break 2; fi; \
	    done; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "error: Python 3.12, 3.13 or 3.14 with its headers (python3-dev) and venv is needed; none was found" \
	      "on PATH or below $(PYENV); install one and run make again" >&2; exit 2; \
	  fi; \
	  echo "making .venv with $$("$$found" --version)"; \
	  "$$found" -m venv --clear .venv; \
	fi
	@echo "installing the pinned packages (about 6 GB on Linux, a few minutes)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $(INSTALLED)

# Snakemake and uv, in an environment of their own within .venv, where `matrix` finds them.
$(TOOLS)/.ready: requirements-matrix.txt $(INSTALLED)
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-matrix.txt
	@touch $@

# The import name is `epoch_gap`: symbolic links make this checkout's three folders its packages (docs/decisions/0010).
PACKAGES = $$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/epoch_gap
$(READY): $(INSTALLED)
	@mkdir -p "$(PACKAGES)"
	@for folder in profiler workloads reports; do ln -sfn ../../../../../$$folder "$(PACKAGES)/$$folder"; done
	@touch "$(PACKAGES)/py.typed" $(READY)

$(OTHERS): requirements-frameworks.txt $(READY)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-frameworks.txt
	@touch $(OTHERS)
