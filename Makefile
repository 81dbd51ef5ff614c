PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# what `radmill schedule print` gives cron, run now; exit 1 means that some cases were refused
SCHEDULED = { ../$(BIN)/radmill schedule print --kind cron 2>/dev/null | grep -v '^\#' | cut -d' ' -f6- | sh || test $$? -eq 1; }
# what a hospital does: it copies its next files to incoming; then the schedule comes round
DELIVER = { test ! -d deliveries/harbor/$$n || { mkdir -p incoming/harbor && cp -R deliveries/harbor/$$n/. incoming/harbor/ && rm -r deliveries/harbor/$$n && $(SCHEDULED); }; }

.PHONY: help install demo docs pictures test lint types check bench-extraction bench-memory bench-scaling bench-scoring bench-store prove-scoring prove-carried prove-privacy prove-rebuild prove-chaos prove-fuzz prove-mutants prove-many-machines prove-slurm release lock clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "radmill needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

install: $(STAMP) ## .venv with radmill in it, and nothing else

demo: $(STAMP) ## a whole study on synthetic centers in demo/, from files to a scored hospital
	test -d demo || $(BIN)/radmill init demo --demo --deliveries 3
	cd demo && ../$(BIN)/radmill run
	cd demo && ../$(BIN)/radmill register clinical --why "a weak model, to show the gates"
	cd demo && { ../$(BIN)/radmill promote clinical || test $$? -eq 2; }
	cd demo && ../$(BIN)/radmill register
	cd demo && ../$(BIN)/radmill promote --why "first model of the demo"
	@echo "deliveries/harbor/1, 2, 3: to incoming/harbor, and the scheduled command after each"
	@cd demo && for n in 1 2 3; do $(DELIVER) || exit; done
	cd demo && sha256sum deployment/centers/*/scores.csv > .radmill/scores.sum
	cd demo && ../$(BIN)/radmill promote clinical --override "to show an override and a rollback"
	cd demo && ../$(BIN)/radmill rollback --why "the override was for show"
	cd demo && ../$(BIN)/radmill register radiomics_rf_triphasic --why "a second opinion"
	cd demo && { ../$(BIN)/radmill challenge radiomics_rf_triphasic --why "in the champion's shadow" || test $$? -eq 2; }
	cd demo && { ../$(BIN)/radmill score || test $$? -eq 1; }
	cd demo && sha256sum --check --quiet .radmill/scores.sum && echo "The same scores as before the rollback, whatever the challenger says"
	cd demo && { grep "in spite of its gates" reports/cards/version-*.md || true; }
	@echo "deliveries/harbor/labels: to incoming/harbor, and the scheduled command once more"
	@cd demo && n=labels && $(DELIVER)
	cd demo && cat deployment/score.log
	cd demo && ../$(BIN)/radmill status
	@echo "Open demo/reports/study.html; compare models with: cd demo && ../$(BIN)/radmill ui"

test: $(STAMP) ## the test suite
	$(BIN)/pytest

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy
	$(BIN)/mypy

check: lint types test ## everything that CI runs

docs: $(STAMP) ## the documentation as a site in build/site, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(STAMP) ## the pictures of README and documentation, from the finished demo; needs Chromium
	$(BIN)/python docs/pictures.py demo

bench-store: $(STAMP) ## time the store beside pyarrow, CSV and Feast; writes its part of docs/performance.md
	$(BIN)/python benchmarks/store.py build/bench-store --part data write read train validate csv growth one_case whole_file feast
	$(BIN)/python benchmarks/store.py --page

bench-memory: $(STAMP) ## what cases need of memory beside what is expected; writes its table of docs/how-to/cluster.md
	PYTHONPATH=. $(BIN)/python benchmarks/memory.py
	PYTHONPATH=. $(BIN)/python benchmarks/memory.py --page

bench-scaling: $(STAMP) ## driver, scheduler and tables up to 1,000,000 cases, after `make demo`; two hours; writes docs/scaling.md
	PYTHONPATH=. $(BIN)/python benchmarks/scaling.py build/bench-scaling --study demo --part costs workers real_time tables million
	PYTHONPATH=. $(BIN)/python benchmarks/scaling.py --page

bench-extraction: $(STAMP) ## time the extraction engines side by side; writes docs/performance.md
	$(BIN)/python benchmarks/extraction.py build/bench

bench-scoring: $(STAMP) ## false alarms, power, doubt and cost of scoring; about an hour; writes docs/performance-scoring.md
	PYTHONPATH=. $(BIN)/python benchmarks/scoring.py drift
	PYTHONPATH=. $(BIN)/python benchmarks/scoring.py images
	PYTHONPATH=. $(BIN)/python benchmarks/scoring_doubt.py
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/scoring.py cost
	PYTHONPATH=. $(BIN)/python benchmarks/scoring.py --page

prove-scoring: $(STAMP) ## kill scoring 100 times while cases arrive; goes on where it was stopped
	$(BIN)/python -m proofs.scoring

prove-carried: $(STAMP) ## an exported package in an empty environment: the study's numbers, its size, its install time
	$(BIN)/python -m proofs.carried build/proofs

prove-privacy: $(STAMP) ## secrets planted in all that hospitals send, searched in every byte of all that comes of it
	$(BIN)/python -m proofs.privacy build/prove-privacy

prove-rebuild: $(STAMP) ## MLflow lost, cloned and killed half-way: rebuilt the same; versions made again
	$(BIN)/python -m proofs.rebuild build/proofs

prove-chaos: $(STAMP) ## disturb a hundred runs in eight ways as root; the next run must leave the undisturbed bytes
	$(BIN)/python -m proofs.chaos build/proofs/chaos

prove-fuzz: $(STAMP) ## thousands of bad files down the real roads: counts by kind; goes on where it was stopped
	$(BIN)/python -m proofs.fuzz build/proofs/fuzz

prove-mutants: $(STAMP) ## small slips in the core's code, of which the tests must notice 85 %; goes on where it was stopped
	$(BIN)/python -m proofs.mutants build/proofs/mutants
	$(BIN)/python -m proofs.mutants_page

prove-many-machines: $(STAMP) ## workers that share only TCP and a store, over TLS, equal a local run; goes on where it was stopped
	$(BIN)/python -m proofs.many_machines build/proofs/many_machines

prove-slurm: $(STAMP) ## a small study with its workers in SLURM jobs equals a local run; needs slurm-wlm and munge
	$(BIN)/python -m proofs.slurm build/proofs/slurm

release: $(STAMP) ## wheel and sdist in build/release/dist, installed and tested on each Python there is; publishes nothing
	$(BIN)/python -m proofs.release build/release $(RELEASE)

lock: ## write requirements.lock from what is installed in .venv
	$(BIN)/pip freeze --exclude-editable --exclude radmill | sed -E 's/\+[a-z0-9.]+$$//' > requirements.lock

clean: ## remove the environment and the demo
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
