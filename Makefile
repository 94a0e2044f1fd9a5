# make demo and make test set everything up by themselves; the rest is for whoever works on optlab.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo gallery test torture lint format bench bench-peers lock wheel clean

demo: .venv/.ready
	$(BIN)/optlab experiment=demo
	$(BIN)/optlab experiment=races
	$(BIN)/optlab plot sensitivity results/demo
	$(BIN)/optlab plot contour results/races
	$(BIN)/optlab plot curves results/races
	$(BIN)/optlab plot race results/races problem=bounded_strict_saddle,beale
	$(BIN)/optlab explore open=false
	@echo
	@echo "Open:"
	@echo "  results/demo/figures/sensitivity.png                      7,200 runs: which rates let whom down where"
	@echo "  results/races/figures/contour_bounded_strict_saddle.png   how seven optimizers pass a saddle"
	@echo "  results/races/figures/curves_beale.png                    loss against steps and evaluations"
	@echo "  results/races/figures/race_bounded_strict_saddle.mp4      the same as a race (and .gif)"
	@echo "  results/explorer.html                                     click a surface, and twelve optimizers start there"
	@echo "The tables: results/demo/runs, results/demo/curves; in Python: optlab.load('results/demo').runs"

# The lecture: runs, pictures and pages of all chapters from nothing.
gallery: .venv/.ready
	$(BIN)/python -m experiments --fresh

test: .venv/.ready
	$(BIN)/python -m pytest -n $$(nproc) --dist loadgroup

# 10,000 inputs that nobody would type and a thousand kills at random moments; the tests have 300 and 25.
torture: .venv/.ready
	$(BIN)/python tests/fuzz.py --cases 10000
	$(BIN)/python tests/torture.py --kills 1000

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.ready
	$(BIN)/python -m benchmarks

# What benchmarks compare with lives in an environment of its own; without it those lines are left out.
bench-peers: .venv/.ready
	$(PYTHON) -m venv .venv-peers
	sed 's/ \\$$//; /^ *--hash/d' requirements.lock > .venv-peers/versions.txt
	.venv-peers/bin/python -m pip install --quiet -r .venv-peers/versions.txt torch==2.13.0 optimistix==0.1.0 jaxopt==0.8.5
	.venv-peers/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .

wheel: .venv/.ready
	$(BIN)/python -m build --no-isolation --outdir dist .

# Needs uv on the PATH. The lock holds names, versions and hashes, and no address of an index.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra dev pyproject.toml -o requirements.lock

# Debian's python3 comes without ensurepip; its package python3-venv has it.
.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "python3-venv is missing; installing it"; \
	  sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .cache dist build outputs multirun results/demo results/races results/study results/explorer.html
