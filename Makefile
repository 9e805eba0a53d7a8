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

# The report is judged (100 % of lines and branches) only where it can be whole: some lines run on one version only.
coverage: ## measure the suite on every supported Python found; judged when 3.11, 3.12 and 3.13 are there
	@mkdir -p $(BUILD)
	@rm -f $(BUILD)/.coverage*
	@bash .ci/run --pythons > $(BUILD)/pythons
	@test -s $(BUILD)/pythons || { echo "no supported Python was found"; exit 1; }
	@set -e; export COVERAGE_FILE="$(CURDIR)/$(BUILD)/.coverage"; failed=; ran=; \
	while read -r version python; do \
	    echo "== Python $$version ($$python)"; \
	    venv=$(BUILD)/coverage-$$version; \
	    $$venv/bin/python -c 'import coverage' 2>/dev/null || { \
	        rm -rf $$venv; $$python -m venv $$venv; $$venv/bin/python -m pip --quiet install 'coverage>=7.10'; \
	    }; \
	    $$venv/bin/python -m coverage run --parallel-mode -m unittest </dev/null || failed="$$failed $$version"; \
	    ran="$$ran $$version"; \
	done < $(BUILD)/pythons; \
	missing=; for version in 3.11 3.12 3.13; do case " $$ran " in *" $$version "*) ;; *) missing="$$missing $$version";; esac; done; \
	$$venv/bin/python -m coverage combine --quiet; \
	if [ -n "$$missing" ]; then \
	    $$venv/bin/python -m coverage report --fail-under=0; \
	    echo "not judged: no Python$$missing here, and only 3.11, 3.12 and 3.13 together can reach 100 %"; \
	else \
	    $$venv/bin/python -m coverage report; \
	fi; \
	[ -z "$$failed" ] || { echo "the suite failed on Python$$failed"; exit 1; }

compliance: ## run CPython's own asyncio tests on our loop
	@test -d tests/compliance || { echo "there is no compliance suite yet (no tests/compliance)"; exit 1; }
	$(PYTHON) -m unittest discover -s tests/compliance -t .

bench: ## print what the framework costs, beside its peers
	$(PYTHON) -m tests.benchmarks

build: ## make the wheel and the source archive in dist/
	@rm -rf dist
	@test -x $(BUILD)/build/bin/pyproject-build || { \
	    $(PYTHON) -m venv $(BUILD)/build && $(BUILD)/build/bin/python -m pip --quiet install build; \
	}
	$(BUILD)/build/bin/python -m build --outdir dist

clean: ## remove what the other targets made
	rm -rf $(BUILD) dist build *.egg-info .coverage .coverage.*
	find solipsism_unittest tests -type d -name __pycache__ -prune -exec rm -rf {} +
