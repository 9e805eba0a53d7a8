# Nothing has to be installed for demo, test, compliance and bench. coverage and build make their own environments below
# .build/, which git ignores.

PYTHON ?= python3
BUILD := .build

.PHONY: help demo test coverage compliance bench build clean

help: ## list these targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: ## watch a realistic program being tested: days of its time in seconds
	$(PYTHON) -m unittest -v tests.examples.test_pubsub

test: ## run the whole suite
	$(PYTHON) -m unittest

# Some lines run on one version only, so the report is judged (100 % of lines and branches) only where it can be whole.
coverage: ## measure the suite on every supported Python found; judged when 3.11 to 3.15 are there
	@mkdir -p $(BUILD) && rm -f $(BUILD)/.coverage*
	@bash .ci/run --pythons > $(BUILD)/pythons && test -s $(BUILD)/pythons || { echo "no supported Python found"; exit 1; }
	@set -e; export COVERAGE_FILE="$(CURDIR)/$(BUILD)/.coverage"; failed=; missing=; \
	while read -r version python; do \
	    echo "== Python $$version ($$python)"; \
	    own=$(BUILD)/coverage-$$version/bin/python; \
	    $$own -c 'import coverage' 2>/dev/null || { \
	        $$python -m venv --clear $(BUILD)/coverage-$$version; $$own -m pip --quiet install 'coverage>=7.10'; \
	    }; \
	    $$own -m coverage run --parallel-mode -m unittest </dev/null || failed="$$failed suite-on-$$version"; \
	done < $(BUILD)/pythons; \
	for version in 3.11 3.12 3.13 3.14 3.15; do \
	    grep -q "^$$version " $(BUILD)/pythons || missing="$$missing $$version"; \
	done; \
	$$own -m coverage combine --quiet; \
	if [ -z "$$missing" ]; then \
	    $$own -m coverage report || failed="$$failed coverage"; \
	else \
	    $$own -m coverage report --fail-under=0; \
	    echo "not judged: it takes 3.11 to 3.15 together to reach every line, and missing here:$$missing"; \
	fi; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

compliance: ## run CPython's own tests of asyncio and of threads in virtual worlds, on every supported Python found
	@mkdir -p $(BUILD); bash .ci/run --pythons > $(BUILD)/pythons && test -s $(BUILD)/pythons || \
	    { echo "no supported Python found"; exit 1; }
	@failed=; while read -r version python; do \
	    $$python -m tests.compliance </dev/null || failed="$$failed $$version"; echo; \
	done < $(BUILD)/pythons; [ -z "$$failed" ] || { echo "failed on:$$failed"; exit 1; }

bench: ## print what the framework costs, beside its peers; AGAINST=path compares with another checkout
	$(PYTHON) -m tests.benchmarks $(if $(AGAINST),--against $(AGAINST)) $(ROWS)

build: ## make the wheel and the source archive in dist/, twice: the same sources give the same bytes
	@rm -rf dist $(BUILD)/again
	@test -x $(BUILD)/build/bin/pyproject-build || { \
	    $(PYTHON) -m venv $(BUILD)/build && $(BUILD)/build/bin/python -m pip --quiet install build; \
	}
	@set -e; SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1700000000); export SOURCE_DATE_EPOCH; \
	for out in dist $(BUILD)/again; do $(BUILD)/build/bin/python -m build --outdir $$out; done
	diff -r dist $(BUILD)/again

clean: ## remove what the other targets made
	rm -rf $(BUILD) dist build *.egg-info .coverage .coverage.*
	find solipsism_unittest tests -type d -name __pycache__ -prune -exec rm -rf {} +
