# The chores. CI calls the same words. Nothing is needed but Python >= 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Kept bytecode: without, each of hundreds of processes compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run demo install test test-core test-faults test-attacks bench bench-quick check format lock schema docs wheel sbom clean

run: $(VENV)/.runtime ## serve on PORT, with the embedded database under DATA_DIR
	@exec $(BIN)/python main.py serve

demo: $(VENV)/.runtime ## serve three people who have talked already, in a database of their own
	@exec $(BIN)/python main.py demo

install: $(VENV)/.runtime $(VENV)/.dev ## .venv with everything: the server's packages and the tests'

test: install ## every test whose tools are here; the others are skipped with a reason
	$(BIN)/python -m pytest --ignore=tests/faults --ignore=tests/attacks --numprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

CORE := tests/db tests/resolvers tests/schema tests/compat
CORE_VENV = .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

test-core: ## the suite's core on SQLite with another interpreter: make test-core PYTHON=python3.13
	@test -x $(CORE_VENV)/bin/python || $(PYTHON) -m venv $(CORE_VENV)
	$(CORE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(CORE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(CORE_VENV)/bin/python -m pytest $(CORE) -k "not mariadb" --numprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-faults: install ## break servers under load (docs/reliability.md); FAULTS=long takes longer
	$(BIN)/python -m pytest tests/faults $(ARGS)

test-attacks: install ## attack servers of our own (docs/security.md); ATTACKS=long sends the full counts
	$(BIN)/python -m pytest tests/attacks --numprocesses=2 --dist=loadfile $(ARGS)

bench: install ## measure against Node.js peers, up to 20 minutes; the table on stdout, BENCH=… for `python -m bench`
	$(BIN)/python -m bench $(BENCH)

bench-quick: install ## the two throughputs only, in under a minute
	$(BIN)/python -m bench --quick $(BENCH)

check: install ## lint, format, types, what is known to be unsafe, and what is printed from the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/bandit -q -c pyproject.toml -r .
	$(BIN)/python main.py schema | diff -u schema/schema.graphql -
	$(BIN)/python main.py schema openapi | diff -u docs/openapi.json -
	$(BIN)/python main.py schema asyncapi | diff -u docs/asyncapi.yaml -

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## pin pyproject.toml in the two lock files (LOCK_ARGS=--upgrade takes newer versions)
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS) -q -o requirements.lock
	$(BIN)/uv pip compile --group dev --universal --python-version 3.11 --generate-hashes -c requirements.lock \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS) -q -o requirements-dev.lock

schema: $(VENV)/.runtime ## print the GraphQL schema, OpenAPI and AsyncAPI into their committed files
	$(BIN)/python main.py schema > schema/schema.graphql
	$(BIN)/python main.py schema openapi > docs/openapi.json
	$(BIN)/python main.py schema asyncapi > docs/asyncapi.yaml

docs: install ## build the documents as a site, strictly: its first page is site/html/index.html
	$(BIN)/python -m docs.site

wheel: install ## build dist/parley-….whl, for pipx, uvx or a container
	$(BIN)/python -m hatchling build -t wheel

sbom: install ## print what a release is made of, with digests, as CycloneDX JSON into dist/sbom.json
	@mkdir -p dist
	$(BIN)/python -m cyclonedx_py requirements --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --of JSON -o dist/sbom.json requirements.lock

clean:
	rm -rf site dist $(VENV) .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Not bin/python: where Debian's python3-venv is missing, a failed attempt leaves that one behind.
$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or name one: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Parley needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: sudo apt install python3-venv (python3.12-venv for a python3.12 of its own). Then run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
