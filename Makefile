# Every task of the project. `make help` lists them.
# The project's own Node 24 comes with its packages, so that an older one on the machine does no harm.
SHELL := /bin/sh
NODE = $(if $(wildcard node_modules/.bin/node),node_modules/.bin/node,node)
# The Google clients would otherwise look for a metadata server, and say so.
RUN = METADATA_SERVER_DETECTION=none PATH="$(CURDIR)/node_modules/.bin:$$PATH"

.DEFAULT_GOAL := help
.PHONY: help install demo up down env status test test-pipelines check format bench clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: node_modules/.ready ## build a real package on this machine, verify it, show where it is
	@$(RUN) $(NODE) deploy/local/main.ts demo

up: node_modules/.ready ## start everything on this machine; Ctrl-C stops it
	@$(RUN) exec $(NODE) deploy/local/main.ts up

down: node_modules/.ready ## stop what `make up` started, also after a crash
	@$(RUN) $(NODE) deploy/local/main.ts down

env: ## print the environment for other shells: eval "$(make -s env)"
	@$(RUN) $(NODE) deploy/local/main.ts env

status: ## show builds and jobs as they stand in Firestore
	@$(RUN) $(NODE) deploy/local/main.ts status

install: node_modules/.ready ## install the npm packages, the Node that everything runs on among them

test: node_modules/.ready ## run all tests against real emulators, BuildKit and registry
	@$(RUN) $(NODE) test/run.ts

test-pipelines: node_modules/.ready ## run every built-in pipeline in BuildKit; downloads whole toolchains
	@$(RUN) $(NODE) test/run.ts test/pipelines test/unit/shared/build-file/pipelines

check: node_modules/.ready ## format, lint and types
	@$(RUN) npm run --silent check

format: node_modules/.ready ## format the sources
	@$(RUN) npm run --silent format

bench: node_modules/.ready ## measure, as ratios against yardsticks run beside
	@$(RUN) $(NODE) test/bench/run.ts

clean: down ## remove what runs left in the checkout, downloads included
	rm -rf .carryall out

# Not `npm ci`: it wants every platform's optional packages in the lock file, and not every registry has them all.
node_modules/.ready: package.json package-lock.json
	@echo "installing npm packages" >&2
	@npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@
