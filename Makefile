# Two commands for readers and teachers: `make lab` and `make test`. The rest is for maintainers.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

# One thread per process: toy models gain nothing from more, and test workers share the cores.
export OMP_NUM_THREADS ?= 1

.PHONY: lab test lint unit notebook-tests notebooks evidence images bench clean

lab: .venv/.reader            ## open the notebooks in JupyterLab; ARGS="--port 9999" is passed on
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks $(ARGS)

test: lint unit notebook-tests ## everything that CI checks

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

unit: .venv/.test
	$(BIN)/pytest -n auto --cov --cov-report=term

# --dist loadscope keeps the cells of one notebook together, in one kernel.
notebook-tests: .venv/.test
	$(BIN)/pytest -n auto --dist loadscope --nbval --nbval-current-env \
		--nbval-cell-timeout=300 notebooks

notebooks: .venv/.test         ## run every notebook (or ARGS="notebooks/01_*.ipynb") and store its outputs
	$(BIN)/python tools/run_notebooks.py $(ARGS)
	$(BIN)/python tools/readme_picture.py

evidence: .venv/.reader       ## rerun the ablations over ten seeds; resumes where it was stopped
	$(BIN)/python tools/run_evidence.py $(ARGS)

images: .venv/.reader         ## draw images/*.svg
	$(BIN)/python tools/draw_images.py

bench: .venv/.bench           ## time tx_utils beside its peers; ARGS="--quick", or workloads by name
	$(BIN)/python -m benchmarks $(ARGS)

clean:                        ## remove the environment and the caches of the tools
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python %d.%d found, 3.11 or newer needed: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# The stamps make a second call cost seconds: pip runs again only when a requirement changed.
.venv/.reader: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing into .venv; the first time this takes a minute or two, and a download."
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	touch $@

.venv/.test: tests/requirements.txt .venv/.reader
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

.venv/.bench: benchmarks/requirements.txt .venv/.reader
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	touch $@
