# make help lists the targets. PYTHON=/path/to/python3 chooses the interpreter, and gives it a virtual environment of its own.

ifdef PYTHON
VENV := .venv-$(shell '$(PYTHON)' -c 'import sysconfig; print(sysconfig.get_config_var("LDVERSION"))')
else
VENV := .venv
endif
BIN := $(abspath $(VENV))/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
PYTEST := $(BIN)/python -m pytest
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --doctree-dir build/doctrees docs
UNIT := $(addprefix --ignore=tests/,system conformance examples docs/test_running.py test_packaging.py)

.PHONY: help serve test check unit test-pythons crosstown-soak chaos broker-chaos hammer hostile-log autobahn many saves bench fuzz pictures docs tools clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

serve: $(VENV)/.serve ## serve the example Django site on http://127.0.0.1:8000 (ARGS=... are added to the command line)
	cd examples/django_site && $(BIN)/python manage.py demo
	cd examples/django_site && exec $(BIN)/twistd -n --pidfile= hendrix --wsgi=mysite.wsgi.application $(ARGS)

test: tools check $(VENV)/.dev ## set everything up, then check and run all tests
	$(PYTEST) -n 2 -m 'not alone'
	$(PYTEST) -m alone || [ $$? = 5 ]  # 5: no test is marked so

check: $(VENV)/.dev ## ruff, mypy --strict, the import layers, and the documentation without a warning
	$(BIN)/ruff check
	$(BIN)/mypy
	$(SPHINX) build/docs
	$(PYTEST) -q tests/test_layers.py

unit: $(VENV)/.test ## the tests that need no process and no server
	$(PYTEST) $(UNIT)

test-pythons: ## the unit tests on each interpreter at hand
	@set -e; for python in $$(.ci/python --all); do echo "== $$python"; $(MAKE) unit PYTHON="$$python"; done

crosstown-soak: $(VENV)/.test ## 20,000 responses and 15,000 tasks: none starts early, none is lost; some minutes
	CROSSTOWN_RESPONSES=20000 CROSSTOWN_TASKS=15000 $(PYTEST) tests/system/test_crosstown.py

chaos: $(VENV)/.test ## 200 reloads and 50 killed workers under load: what is lost? (ARGS=--reloads=1000)
	$(BIN)/python tests/system/chaos.py $(ARGS)

broker-chaos: $(VENV)/.test ## a broker killed for 5 s, its network cut, a node killed: 20 rounds in a row (ROUNDS=20)
	BROKER_ROUNDS=$(or $(ROUNDS),20) BROKER_AWAY=5 $(PYTEST) -s tests/hey_joe/brokers/test_chaos.py

hammer: $(VENV)/.test ## 64 pipelining connections for a minute, with all that clients and applications do wrong
	HAMMER_SECONDS=60 $(PYTEST) tests/system/test_hammer.py

hostile-log: $(VENV)/.test ## 10 GB of requests that want to write our access log: one line each? (HOSTILE_MB=100 are fewer)
	HOSTILE_MB=$(or $(HOSTILE_MB),10240) $(PYTEST) -s -o faulthandler_timeout=0 tests/system/test_hostile_log.py

autobahn: $(VENV)/.test ## all of the Autobahn test suite against our WebSockets: about 20 minutes (CASES=12.1.*,12.2.* are some of it)
	.ci/wstest
	AUTOBAHN='$(or $(CASES),*)' $(PYTEST) -s tests/system/test_autobahn.py

many: $(VENV)/.test ## ten thousand connections over two workers: once, in order, slow ones cut, memory flat (MANY=2000 are fewer)
	MANY=$(or $(MANY),10000) $(PYTEST) -s tests/system/test_many.py

saves: $(VENV)/.test ## 50 saves in a row under hx --dev: is a connection refused, how long until the new answer?
	DEV_SAVES=50 $(PYTEST) -s tests/system/test_dev.py -k each_save

bench: $(VENV)/.bench ## hendrix beside its peers; writes bench/RESULTS.md
	.ci/tools wrk
	.ci/tools redis-server || true  # without it crosstown traffic is not compared with Celery
	$(BIN)/python bench/bench.py $(ARGS)

fuzz: $(VENV)/.fuzz ## feed the parser of requests what coverage suggests, for a minute (FOR=3600 takes an hour)
	nice -n 19 $(BIN)/python fuzz/fuzz_http1.py -max_total_time=$(or $(FOR),60)

pictures: $(VENV)/.test ## the pictures of docs/chat.md and docs/live-page.md, taken in Chromium
	.ci/tools chromium chromedriver=chromium-driver pngquant optipng
	$(BIN)/python docs/pictures.py $(ARGS)

docs: $(VENV)/.docs ## the documentation as HTML in build/docs, its tables of options made anew
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/dashboard.py
	$(SPHINX) build/docs
	@echo "build/docs/index.html"

clean: ## remove what make made
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The commands that the tests call.
tools:
	@.ci/tools curl openssl zsh fish nginx caddy ssh=openssh-client ip=iproute2 chromium chromedriver=chromium-driver || true
	@.ci/tools ngircd tor redis-server redis-sentinel pg_ctlcluster=postgresql || true
	@.ci/wstest || true
	@.ci/axe || true

# One environment, made anew when the requirements change; a stamp in it for each set of requirements it holds.
$(VENV)/.made: setup.py
	python=$$(.ci/python $(PYTHON)) && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.serve: $(VENV)/.made
	$(INSTALL) '.[tls,django]'
	@touch $@

$(VENV)/.test: $(VENV)/.made
	$(INSTALL) '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.test $(VENV)/.docs

$(VENV)/.docs: $(VENV)/.made
	$(INSTALL) '.[docs]'
	@touch $@

$(VENV)/.bench: $(VENV)/.made bench/requirements.txt
	$(INSTALL) . --requirement bench/requirements.txt
	@touch $@

$(VENV)/.fuzz: $(VENV)/.made fuzz/requirements.txt
	$(INSTALL) '.[test]' --requirement fuzz/requirements.txt
	@touch $@
