# `make run` runs the pipeline, `make test` the tests; `make` lists all targets. Nothing is written outside this folder.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run recipe ladder scaling sweep test compare bench install fit up down status ui schedule docs pictures

# The Python that creates .venv; constraints.txt was resolved for 3.11.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell $(name) --version 2>/dev/null),$(name))))
BIN := .venv/bin
INSTALLED := .venv/.installed
# Not empty if this folder was copied or moved since .venv was created.
MOVED := $(if $(wildcard $(INSTALLED)),$(shell test "$$(cat .venv/.folder 2>/dev/null)" = "$$(pwd -P)" || echo fit))

export PIP_CACHE_DIR ?= $(CURDIR)/.work/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install  ## install, start the servers, run the pipeline, show the results
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.pipeline

recipe: install  ## the same with a recipe from recipes/: make recipe NAME=ptb-lstm
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.recipe $(NAME)

ladder: install  ## train every family of models for one minute and compare them
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.ladder

scaling: install  ## fit a scaling law to five sizes of a GPT and check it with a sixth (about 15 minutes)
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.scaling

sweep: install  ## search for better parameters: make sweep NAME=learning-rate JOBS=2
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.sweep sweeps/$(NAME).yaml --jobs $(or $(JOBS),1)

test: install  ## install, check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

compare: install  ## show experiments with their changed parameters and metrics
	@$(BIN)/dvc exp show --no-pager --only-changed --drop '^(lmcore|flows|tasks|data|models|reports|sources|constraints).*'

bench: install  ## compare speed with other libraries; BENCH="training generation" selects benchmarks
	@$(BIN)/python -W ignore -m benchmarks $(BENCH)

docs: install  ## build the documentation as a site in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

pictures: install  ## regenerate the pictures of the documentation from the last run (needs Chromium)
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.pictures

install: $(INSTALLED) $(MOVED)  ## create .venv with the pinned packages

up: install  ## start the MLflow and Prefect servers on this machine
	@$(BIN)/python -m flows.runtime.servers up

down:  ## stop the servers that `make up` or `make run` started
	@test ! -x $(BIN)/python || $(BIN)/python -m flows.runtime.servers down

status: install  ## show whether the servers are running, and their addresses
	@$(BIN)/python -m flows.runtime.servers status

ui: install  ## start the servers and open their pages in a browser
	@$(BIN)/python -m flows.runtime.servers ui

schedule: install  ## run the pipeline every night at 03:00 (LMCORE_SCHEDULE_CRON) until Ctrl-C
	@$(BIN)/python -m flows.runtime.servers up
	@$(BIN)/python -m flows.schedule

$(INSTALLED): constraints.txt $(wildcard constraints/*.txt) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is required, and '$(PYTHON)' is older: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the pinned packages into .venv; this takes a few minutes ..."
	@$(BIN)/python -m pip install --quiet --use-pep517 --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m flows.runtime.plot_page
	@$(BIN)/python -m flows.runtime.installation
	@pwd -P > .venv/.folder
	@touch $@

fit:
	@echo "This folder was moved or copied: updating .venv ..."
	@$(BIN)/python -m venv --without-pip .venv
	@$(BIN)/python -m flows.runtime.installation
	@pwd -P > .venv/.folder
