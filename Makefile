# `make help` lists the targets. `target: ## text` is its line there, and `##@ text` a heading.

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
CORES := $(shell nproc 2>/dev/null || echo 2)
# .ci/run measures coverage and holds its floor; it takes a third longer.
MEASURE := $(if $(CI)$(COVERAGE),--cov --cov-report=term)
WORKERS ?= $(shell expr $(CORES) + 1)
OWN_DATA = $(if $(DATA),--own "$(DATA)") $(if $(MAPPING),--mapping "$(MAPPING)")
TEST := $(RUN) -m pytest --maxprocesses 8

.DEFAULT_GOAL := help
.PHONY: help setup up serve test test-fast check format hooks lock clean fuzz chaos soak load bench \
	train-scorer train-risk train-accept eval-predictors train-replies train-policy train-ppo eval-policy compare-policy \
	train-messenger train-sft train-rm train-ppo-text eval-messenger compare-messenger

##@ Start here

help: ## List the targets
	@awk -F ': .*## |: ## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z.%-]+:.* ## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nOptions of a command go into ARGS, for example: make train-messenger ARGS=--resume\n'

setup: $(VENV)/ready ## Install everything pinned in requirements.lock into .venv (the other targets do it too)

up: setup ## Run the whole system in one process, at http://localhost:8080
	$(RUN) -m services

serve: up ## The same as up

##@ Change the code

test-fast: setup ## Run the quick tests: no emulators, no torch; under a minute
	$(TEST) -n $(CORES) --fast $(ARGS)

# One process more than there are cores, because some tests wait for the emulators.
test: $(VENV)/torch ## Run all tests, on the emulators where gcloud or Docker is installed; COVERAGE=1 measures coverage, as CI does
	$(TEST) -n $(WORKERS) $(MEASURE) $(ARGS)

check: setup ## Check format, lint, types, import contracts, and known vulnerabilities
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m tools.audit

format: setup ## Format the code and sort its imports
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

hooks: setup ## Check format, lint, types and import contracts before each git commit
	$(VENV)/bin/pre-commit install

# torch is overridden away: pip takes it from where it is installed, and its CUDA build is gigabytes.
lock: setup ## Pin the newest versions of all dependencies; LOCK="--upgrade-package numpy" takes options of uv
	echo "torch ; python_version < '3'" > $(VENV)/without-torch
	$(VENV)/bin/uv pip compile --override $(VENV)/without-torch --quiet --group dev --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --output-file requirements.lock $(LOCK)

clean: ## Delete environments, caches, reports and local state
	rm -rf $(VENV) .venv-rivals .venv-trl reports state .mypy_cache .ruff_cache .pytest_cache .coverage

##@ Test longer

fuzz: setup ## Send 10,000 malformed messages to every service (make test sends a few)
	FUZZ=10000 $(RUN) -m pytest tests/fuzz -p no:logging --durations=0 $(ARGS)

chaos: setup ## Check the promises under crashes, failed writes and duplicates, on the emulators
	$(RUN) -m tests.load.chaos $(ARGS)

soak: setup ## Check that memory stays flat over 100,000 events
	$(RUN) -m tests.load.soak $(ARGS)

load: setup ## Raise the load until it is too much, and check that the system recovers
	$(RUN) -m tests.load.load $(ARGS)

bench: setup ## Measure throughput and latency, each beside a baseline of the same run
	$(RUN) -m tests.load.bench $(ARGS)

##@ Train: data sets

data.%: setup ## Prepare one public data set, or all: make data.telco, make data.all
	$(RUN) -m training.data $* $(ARGS)

##@ Train: churn risk and offer acceptance

train-scorer: setup ## Train both models from the public data
	$(RUN) -m training.scorer.train $(ARGS)

train-risk: setup ## Train the risk model: public data, or yours with DATA=customers.csv MAPPING=mapping.toml
	$(RUN) -m training.scorer.train $(if $(DATA)$(MAPPING),$(OWN_DATA),--only risk) $(ARGS)

train-accept: setup ## Train the acceptance model
	$(RUN) -m training.scorer.train --only accept $(ARGS)

eval-predictors: setup ## Evaluate both models: reports/predictors.html
	$(RUN) -m training.scorer.evaluate $(ARGS)

##@ Train: reader of replies

train-replies: setup ## Train the classifier of customers' replies from its labelled phrases (a minute)
	$(RUN) -m training.replies $(ARGS)

##@ Train: policy

train-policy: $(VENV)/torch ## Train ten networks and export the best
	$(RUN) -m training.policy.train $(ARGS)

train-ppo: $(VENV)/torch ## Train one network with PPO
	$(RUN) -m training.policy.ppo $(ARGS)

eval-policy: setup ## Evaluate it beside all baselines: reports/policy.html
	$(RUN) -m training.policy.evaluation.evaluate $(ARGS)

compare-policy: setup .venv-rivals/ready ## Compare PPO with Stable-Baselines3 and FSRL
	$(RUN) -m training.policy.benchmarks.export reports/customers.npz
	OMP_NUM_THREADS=1 .venv-rivals/bin/python -W ignore -m training.policy.benchmarks --customers reports/customers.npz $(COMPARE) $(ARGS)

##@ Train: message writer

train-messenger: $(VENV)/torch ## Run all stages; ARGS="--model facebook/opt-350m --eight-bit" starts from a pretrained model
	$(RUN) -m training.messenger.train $(ARGS)

train-sft: $(VENV)/torch ## Supervised fine-tuning alone
	$(RUN) -m training.messenger.sft $(ARGS)

train-rm: $(VENV)/torch ## The reward model alone
	$(RUN) -m training.messenger.reward $(ARGS)

train-ppo-text: $(VENV)/torch ## PPO on texts alone
	$(RUN) -m training.messenger.ppo $(ARGS)

eval-messenger: setup ## Evaluate it beside SFT and the template: reports/messenger.html
	$(RUN) -m training.messenger.evaluation.evaluate $(ARGS)

compare-messenger: .venv-trl/ready ## Compare PPO with TRL, from the models that train-messenger leaves
	.venv-trl/bin/python -W ignore -m training.messenger.benchmarks $(COMPARE) $(ARGS)

# Environments. Everything is pinned and hashed in requirements.lock; uv, which installs it, is too.
$(VENV)/ready: requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed ($(PYTHON) was not found); name another with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	awk '/^uv==/{keep=1} keep; keep && !/\\$$/{exit}' requirements.lock > $(VENV)/uv.lock
	$(RUN) -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	$(VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(RUN) --require-hashes requirements.lock
	@touch $@

# Only training and its tests need torch, so it is not in the lock.
$(VENV)/torch: $(VENV)/ready
	$(RUN) -m pip install --quiet torch==2.13.0
	@touch $@

# The comparisons have environments of their own.
.venv-trl/ready: training/messenger/benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-trl
	.venv-trl/bin/pip install --quiet -r $<
	@touch $@

.venv-rivals/ready: training/policy/benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/pip install --quiet -r $<
	.venv-rivals/bin/pip install --quiet --no-deps fast-safe-rl==0.1.0
	@touch $@
