# make demo    trains for about two minutes and writes text
# make test    runs the whole suite
# The rest is for people who work on Recurra; CONTRIBUTING.md says more.

VENV ?= .venv
export VENV
BIN := $(VENV)/bin

.PHONY: demo test lint docs setup setup-dev wheels sanitize neon scoreboard operations pictures mutants sizes

demo: setup
	@$(BIN)/recurra demo

# Tests start hundreds of processes, each of which would compile the package where nothing is kept.
test: setup-dev
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --maxprocesses=8 --dist=worksteal

lint: setup-dev
	@scripts/lint

docs: setup-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

setup:
	@scripts/setup charts

setup-dev:
	@scripts/setup dev

wheels: setup-dev
	@scripts/wheels

sanitize: setup-dev
	@scripts/sanitize

neon:
	@scripts/neon

scoreboard: setup-dev
	@$(BIN)/python scripts/scoreboard.py

# MUTANTS="--number 100 --seed 1 src/recurra/losses.py", and more that --help names
mutants: setup-dev
	@scripts/mutants $(MUTANTS)

operations: setup-dev
	@$(BIN)/python scripts/operations.py

pictures: setup-dev
	@$(BIN)/python scripts/pictures.py

sizes:
	@scripts/sizes
