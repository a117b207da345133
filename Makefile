# make setup · up · test · check · fuzz · chaos · soak · load · bench · data.all · train-scorer · train-risk ·
# eval-predictors · train-policy · eval-policy · compare-policy · train-messenger · eval-messenger · compare-messenger · lock

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: setup up test check fuzz chaos soak load bench lock train-scorer train-risk eval-predictors train-policy eval-policy compare-policy train-messenger eval-messenger compare-messenger clean

setup: $(VENV)/ready

# Everything is pinned and hashed in requirements.lock; uv, which installs it, is too.
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

up: setup
	$(RUN) -m services

test: $(VENV)/torch
	$(RUN) -m pytest --cov --cov-report=term

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m tools.audit

# Ten thousand spoilt messages at every door; make test tries a few.
fuzz: setup
	FUZZ=10000 $(RUN) -m pytest tests/fuzz -p no:logging --durations=0

# Faults, endurance and load; ARGS="--seed 2 --events 1000" and so on.
chaos soak load: setup
	$(RUN) -m tests.load.$@ $(ARGS)

bench: setup
	$(RUN) -m tests.load.bench

# A data set made ready for training, or all of them: make data.telco, make data.all
data.%: setup
	$(RUN) -m training.data $*

train-scorer: setup
	$(RUN) -m training.scorer.train

# The risk from your own customers: DATA is a CSV or Parquet file, MAPPING says what its columns mean.
train-risk: setup
	@test -n "$(DATA)" -a -n "$(MAPPING)" || { echo "say which: make train-risk DATA=customers.csv MAPPING=mapping.toml"; exit 1; }
	$(RUN) -m training.scorer.train --own "$(DATA)" --mapping "$(MAPPING)"

eval-predictors: setup
	$(RUN) -m training.scorer.evaluate

train-policy: $(VENV)/torch
	$(RUN) -m training.policy.train

eval-policy: setup
	$(RUN) -m training.policy.evaluation.evaluate

# Beside Stable-Baselines3's PPO and FSRL's PPO-Lagrangian, in an environment of their own.
compare-policy: setup .venv-rivals/ready
	$(RUN) -m training.policy.benchmarks.export reports/customers.npz
	OMP_NUM_THREADS=1 .venv-rivals/bin/python -W ignore -m training.policy.benchmarks --customers reports/customers.npz $(COMPARE)

# All stages; ARGS="--model facebook/opt-350m --eight-bit" takes a pretrained model instead of making a base.
train-messenger: $(VENV)/torch
	$(RUN) -m training.messenger.train $(ARGS)

eval-messenger: setup
	$(RUN) -m training.messenger.evaluation.evaluate

# Beside TRL's PPO, in an environment of its own; takes the models that train-messenger leaves.
compare-messenger: .venv-trl/ready
	.venv-trl/bin/python -W ignore -m training.messenger.benchmarks $(COMPARE)

.venv-trl/ready: training/messenger/benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-trl
	.venv-trl/bin/pip install --quiet -r $<
	@touch $@

.venv-rivals/ready: training/policy/benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/pip install --quiet -r $<
	.venv-rivals/bin/pip install --quiet --no-deps fast-safe-rl==0.1.0
	@touch $@

# torch is overridden away: pip takes it from where it is installed, and its CUDA build is gigabytes.
lock: setup
	echo "torch ; python_version < '3'" > $(VENV)/without-torch
	$(VENV)/bin/uv pip compile --override $(VENV)/without-torch --quiet --group dev --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --output-file requirements.lock $(LOCK)

clean:
	rm -rf $(VENV) .venv-rivals .venv-trl reports state .mypy_cache .ruff_cache .pytest_cache .coverage
