# Two commands are enough: `make demo` walks the whole road, `make test` checks everything. `make help` lists the rest.
#
# pip is used with your own settings. To choose a CPU or a CUDA build of torch, point PIP_INDEX_URL or
# PIP_EXTRA_INDEX_URL at the index that PyTorch's installation page names for your machine before the first `make`.
# On Linux without a GPU the CPU build saves several gigabytes. PYTHON=... chooses the interpreter of the environment.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
INSTRUCTOR := $(VENV)/.extra-instructor
SITE := $(VENV)/.extra-site
BROWSER := $(VENV)/.browser
LOG := $(VENV)/install.log
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
RUNNER := $(PY) -m instit_lite.classroom.runner
NORMALISE := $(PY) -m instit_lite.classroom.normalise
REVEAL := reveal.js@4.6.1 requirejs@2.3.7 jquery@3.7.1
PROFILE ?= micro
SIZE ?= small
NB ?=
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser test-offline notebooks report site lab student grade measure-notebooks run-sheets slides \
  workshop-check offline-bundle bench soak pretrain claims beyond edit normalise clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile
	@echo "  variables: PROFILE=smoke|micro|gpu (default micro), NB=03 (one notebook), SIZE=small|earlier|large (pretrain), PYTHON=python3.12"

setup: $(STAMP) ## create .venv and install the pinned tree (the other commands do it by themselves)

$(STAMP): pyproject.toml constraints.txt
	@if ! $(PY) -c '$(FITS)' 2>/dev/null; then \
	  found=; \
	  for python in $(PYTHONS); do \
	    if $$python -c '$(FITS)' >/dev/null 2>&1; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "error: none of these runs and is Python 3.11 or newer with venv: $(PYTHONS)."; \
	    echo "Cure: install Python 3.11-3.13 (on Debian and Ubuntu also its -venv package), or name one: make PYTHON=/path/to/python3.12"; \
	    exit 1; \
	  fi; \
	  echo "[setup 1/2] creating $(VENV) with $$($$found --version)"; \
	  $$found -m venv --clear $(VENV) || exit 1; \
	fi; \
	echo "[setup 2/2] installing the pinned packages (minutes on the first run; torch is the largest)"; \
	$(PY) -m pip install --disable-pip-version-check --progress-bar off \
	  -c constraints.txt -e '.[dev]' >$(LOG) 2>&1 & pid=$$!; \
	trap 'kill $$pid 2>/dev/null; exit 130' INT TERM; \
	seconds=0; \
	while kill -0 $$pid 2>/dev/null; do \
	  sleep 1; seconds=$$((seconds + 1)); \
	  if [ $$((seconds % 10)) -eq 0 ]; then echo "    $$seconds s: $$(tail -n 1 $(LOG) | cut -c 1-80)"; fi; \
	done; \
	if ! wait $$pid; then \
	  tail -n 20 $(LOG); echo "error: the install failed; all it said is in $(LOG)"; exit 1; \
	fi; \
	echo "[setup] done in $$seconds s"; touch $(STAMP)

$(VENV)/.extra-%: $(STAMP)
	@echo "[setup] what '$*' needs beside"; $(PY) -m pip install --disable-pip-version-check --quiet \
	  -c constraints.txt -e '.[$*]' >>$(LOG) 2>&1 || { tail -n 5 $(LOG); exit 1; }; touch $@

$(BROWSER): $(VENV)/.extra-browser
	@$(PY) tests/browser/lab.py || { echo "[setup] playwright's own browser"; \
	  $(PY) -m playwright install chromium >>$(LOG) 2>&1; $(PY) tests/browser/lab.py || exit 1; }; touch $(BROWSER)

demo: $(STAMP) ## run notebooks 00-08 in profile micro and build build/report/index.html
	@status=0; $(RUNNER) --profile micro 00 01 02 03 04 05 06 07 08 || status=1; \
	$(PY) -m instit_lite.classroom.report --profile micro || status=1; exit $$status

test: $(INSTRUCTOR) $(SITE) ## run all tests, then all notebooks in profile smoke, solved and blank, two things at a time
	@status=0; export OMP_NUM_THREADS=1 INSTIT_BUILD="$(CURDIR)/build/smoke" BLANK="$(CURDIR)/build/blank"; \
	rm -rf "$$INSTIT_BUILD" "$$BLANK"; mkdir -p "$$BLANK"; \
	echo "[test 1/2] pytest"; env -u INSTIT_BUILD $(PY) -m pytest -n 2 --dist loadfile || status=1; \
	echo "[test 2/2] all notebooks in profile smoke, and beside them the same with every exercise left blank"; \
	( export INSTIT_BUILD="$$BLANK"; $(PY) -m instit_lite.classroom.student && \
	  $(RUNNER) --profile smoke --folder "$$BLANK/student" 01 02 03 04 05 06 07 08 ) >"$$BLANK/log.txt" 2>&1 & blank=$$!; \
	$(RUNNER) --profile smoke || status=1; \
	echo "left blank:"; wait $$blank || status=1; cat "$$BLANK/log.txt"; \
	if [ $$status -eq 0 ]; then echo "all passed"; else echo "FAILED: see above"; fi; exit $$status

test-browser: $(BROWSER) ## run notebooks 00-08 in JupyterLab in a headless browser and use their explorers; NB=03 one
	@$(PY) -m pytest -v -m browser tests/browser $(if $(NB),-k $(NB)) $(ARGS)

notebooks: $(STAMP) ## run all notebooks, or NB=03, in profile PROFILE
	@$(RUNNER) --profile $(PROFILE) $(NB) $(ARGS)

measure-notebooks: $(STAMP) ## run notebooks (NB=03: one) in profile PROFILE and keep minutes and memory: measured.json, cards
	@status=0; $(RUNNER) --profile $(PROFILE) $(NB) || status=1; \
	$(PY) -m instit_lite.classroom.measured --profile $(PROFILE) && $(PY) -m instit_lite.classroom.cards || status=1; exit $$status

report: $(STAMP) ## build the report page from what was run in profile PROFILE
	@$(PY) -m instit_lite.classroom.report --profile $(PROFILE)

site: $(SITE) ## build build/site from what was run in profile PROFILE (needs Node.js)
	@$(PY) -m instit_lite.classroom.site --profile $(PROFILE)

lab: $(STAMP) ## open JupyterLab on notebooks/
	@$(VENV)/bin/jupyter lab notebooks

student: $(INSTRUCTOR) ## copies of the notebooks without solutions and hidden tests, in build/student
	@$(PY) -m instit_lite.classroom.student $(NB)

grade: $(INSTRUCTOR) ## grade SUBMISSIONS=folder (a folder per student): build/grades
	@$(PY) -m instit_lite.classroom.grade $(SUBMISSIONS)

run-sheets: $(STAMP) ## a workshop by the minute, for 90 minutes, half a day, two days: build/teaching, docs/workshop.md
	@$(PY) -m instit_lite.classroom.runsheet --page

slides: $(STAMP) ## reveal slides of the notebooks that were run in profile PROFILE: build/slides
	@npm install --no-save --no-audit --no-fund --prefix "$${INSTIT_BUILD:-build}/slides" $(REVEAL) >/dev/null 2>&1 || true; \
	$(PY) -m instit_lite.classroom.slides --profile $(PROFILE)

workshop-check: $(STAMP) ## is this laptop ready for a workshop? doctor, a timed notebook, build/workshop-check.json
	@$(PY) -m instit_lite.classroom.preflight

offline-bundle: $(STAMP) ## everything for a room without network: build/offline (needs the network once)
	@$(PY) -m instit_lite.classroom.bundle $(ARGS)

test-offline: $(STAMP) ## install from build/offline with the network off, and run its doctor (minutes)
	@$(PY) -m pytest -s tests/classroom/offline_install.py

bench: $(STAMP) ## measure speed, memory and placement, beside TRL if installed; ARGS=--record keeps
	@OMP_NUM_THREADS=1 $(PY) benchmarks/run.py $(ARGS)

soak: $(STAMP) ## annotation: 50 kills, 256 calls at once, speed, 10,000 calls (minutes); ARGS=--quick
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)" $(PY) tests/annotation/soak.py $(ARGS)

pretrain: $(STAMP) ## train the micro base model from nothing (resumable)
	@$(PY) -m instit_lite.training.pretrain --size $(SIZE)

claims: $(STAMP) ## measure the paper's claims (hours, resumable); ONLY=C6, ARGS=--list, ARGS=--anew
	@$(PY) -m instit_lite.claims --profile $(PROFILE) $(if $(ONLY),--only $(ONLY)) $(ARGS)

beyond: $(STAMP) ## measure notebook 08's second round from the claims' tuned models (resumable; a quarter of an hour each)
	@OMP_NUM_THREADS=1 $(PY) -m instit_lite.claims.beyond $(ARGS) --keep \
	  $(or $(wildcard build/claims/micro/main/seed*/sft/adapter),$(error train them first: make claims ONLY=C2))

edit: $(STAMP) ## edit notebook NB=03 as text in $EDITOR and write it back
	@notebook=$$(ls notebooks/$(NB)_*.ipynb 2>/dev/null); \
	if [ -z "$(NB)" ] || [ ! -f "$$notebook" ]; then echo "error: name one notebook, such as NB=03"; exit 1; fi; \
	text=build/edit/$$(basename "$$notebook" .ipynb).py; \
	$(NORMALISE) --to-percent "$$notebook" --to "$$text" && \
	$${EDITOR:-vi} "$$text" && \
	$(NORMALISE) --from-percent "$$text" --to "$$notebook"

normalise: $(STAMP) ## bring all notebooks into normal form
	@$(NORMALISE) notebooks/*.ipynb

clean: ## remove everything generated, but not .venv
	@rm -rf build .pytest_cache .hypothesis && echo "removed build/ and caches"
