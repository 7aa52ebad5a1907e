# make demo    trains for about two minutes and writes text
# make test    runs the whole suite
# The rest is for people who work on Recurra; CONTRIBUTING.md says more.

VENV ?= .venv
export VENV
BIN := $(VENV)/bin

.PHONY: demo test lint setup setup-dev wheels scoreboard sizes

demo: setup
	@$(BIN)/recurra demo

test: setup-dev
	@$(BIN)/python -m pytest

lint: setup-dev
	@scripts/lint

setup:
	@scripts/setup

setup-dev:
	@scripts/setup dev

wheels: setup-dev
	@scripts/wheels

scoreboard: setup-dev
	@$(BIN)/python scripts/scoreboard.py

sizes:
	@scripts/sizes
