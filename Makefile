# `make demo` and `make test` need Python 3.11 or later and make, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LSDB := .venv-lsdb
DATA ?=
# What touches pandas, whose third version the second environment has; kernels do not.
PANDAS_TESTS := tests/test_data.py tests/test_interchange.py tests/io tests/scale tests/surveys \
	tests/reduce/test_table.py tests/reduce/test_pca.py tests/reduce/test_correlation.py \
	tests/integrate/test_catalogue_files.py tests/integrate/test_conflicts.py \
	tests/integrate/test_crossmatch.py tests/integrate/test_merge.py

.PHONY: help demo test test-all lint types tests browser clean

help:
	@echo "make demo                 simulated survey -> trained, compressed classifier and a report page"
	@echo "make test                 lint, types and tests"
	@echo "make test-all DATA=FOLDER slow tests, the second environment, a browser, real surveys"

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,test]'
	@touch $@

$(LSDB)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LSDB)
	$(LSDB)/bin/python -m pip install --quiet --upgrade pip
	$(LSDB)/bin/python -m pip install --quiet -c constraints.txt -e '.[lsdb,train,test]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/astroprep demo --out demo_result

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

# A kernel's cached machine code knows its own file only, so an edit elsewhere would go unseen.
tests: $(VENV)/.test
	@find astroprep -name '*.nb[ic]' -delete
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest tests -n 2 --dist loadfile $(if $(DATA),--data=$(DATA))

test: lint types tests

# A browser opens the report page; without root and without one its test is skipped with a reason.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } \
		|| echo "no chromium: install it to test the report page"

test-all: $(VENV)/.test $(LSDB)/.test browser
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest tests -m "(slow or real_data) and not bench" \
		-n 2 --dist loadfile $(if $(DATA),--data=$(DATA) --require-data)
	$(LSDB)/bin/python -m pytest $(PANDAS_TESTS) -n 2 --dist loadfile $(if $(DATA),--data=$(DATA))
	$(LSDB)/bin/python -m pytest tests/scale -m slow

clean:
	rm -rf $(VENV) $(LSDB) demo_result
