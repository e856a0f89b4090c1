# The two commands of this repository are `make up` and `make test`. Each brings what it needs: uv, Python, all packages.
# Written for POSIX sh and GNU make 3.81 (macOS) and later.

.DEFAULT_GOAL := help
BIN := .venv/bin
OWN_UV := .local/uv/bin/uv

# uv: the one on the PATH if it runs (a pyenv shim may be there and not run), else our own.
UV := $(shell if uv --version >/dev/null 2>&1; then command -v uv; else echo $(OWN_UV); fi)
export UV
COMPILE = "$(UV)" pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.12 --custom-compile-command "make lock"

# Python: uv finds or downloads one; it does not look into pyenv's versions, so name a fitting one if there is any.
PYENV_ROOT ?= $(HOME)/.pyenv
PYENV_3_12 := $(lastword $(sort $(wildcard $(PYENV_ROOT)/versions/3.12.*/bin/python3.12)))
PYENV_3_13 := $(lastword $(sort $(wildcard $(PYENV_ROOT)/versions/3.13.*/bin/python3.13)))
ifeq ($(origin UV_PYTHON),undefined)
ifneq ($(PYENV_3_12)$(PYENV_3_13),)
export UV_PYTHON := $(firstword $(PYENV_3_12) $(PYENV_3_13))
endif
endif

# Compiled modules are kept, also where the surroundings say no (images of containers often do): without them every program
# of the stack compiles itself anew at each start, which is half of the time until all are ready.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up reset test browser check check-deploy images fmt bench chaos lock manifests values-table sync

# podman drops health checks unless the image has Docker's format.
IMAGES := request-manager agent-service integration-dispatcher servicenow-mcp migrations
IMAGE_PREFIX ?= self-service-agent
IMAGE_TAG ?= latest
BUILDER ?= $(if $(shell command -v podman),BUILDAH_FORMAT=docker podman,docker)

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

up: sync ## Start everything on this machine; Ctrl-C ends it (EVENTING_ENABLED=true: over a broker; ARGS="--free-ports")
	@exec $(BIN)/python -m local_stack up $(ARGS)

reset: sync ## End what is left of earlier runs and delete all local data
	@$(BIN)/python -m local_stack reset $(ARGS)

test: sync browser ## Run all tests
	@$(BIN)/pytest -n 3 --no-loadscope-reorder $(ARGS)

browser: sync ## Install Chromium for the tests of pages, where it is missing
	@$(BIN)/python -m tests.support.chromium

check: sync ## Lint, check types and imports, run the unit tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --no-loadscope-reorder tests/unit

check-deploy: sync ## Check chart and images with the real tools, which are fetched into .local
	@$(BIN)/pytest -n 2 --no-loadscope-reorder tests/deploy --timeout 2700 $(ARGS)

fmt: sync ## Format the code and repair what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: sync ## Measure the product against the floor of this machine
	@$(BIN)/python -m tests.load $(ARGS)

chaos: sync ## Kill everything again and again, and audit what is left (options: ARGS="--modes direct --seeds 1")
	@$(BIN)/python -m tests.chaos $(ARGS)

images: ## Build the images of the services with podman or docker (IMAGE_PREFIX, IMAGE_TAG, BASE_IMAGE, BUILD_ARGS)
	@for name in $(IMAGES); do \
	  $(BUILDER) build --file Containerfile --target "$$name" --tag "$(IMAGE_PREFIX)/$$name:$(IMAGE_TAG)" \
	    $(if $(BASE_IMAGE),--build-arg "BASE_IMAGE=$(BASE_IMAGE)") $(BUILD_ARGS) --build-arg "REVISION=$$(git rev-parse HEAD)" . || exit 1; \
	done

lock: $(UV) ## Renew uv.lock and the locks of the model servers and of the scanners
	"$(UV)" lock --upgrade
	$(COMPILE) local-stack/ogx/requirements.in --output-file local-stack/ogx/requirements.txt
	$(COMPILE) local-stack/llama-stack/requirements.in --output-file local-stack/llama-stack/requirements.txt
	$(COMPILE) tests/deploy/tools.in --output-file tests/deploy/tools.txt

manifests: sync ## Render the broker and its triggers for the local broker from the chart
	@$(BIN)/python -m tests.support.helm

values-table: sync ## Write the table of the chart's values into its README
	@$(BIN)/python -m tests.support.values_table

sync: $(UV)
	@"$(UV)" sync --frozen --quiet

# In a folder of its own: by venv and pip, by pip alone (Debian without python3-venv), by uv's own installer.
$(OWN_UV):
	@echo "Installing uv into .local/uv"
	@mkdir -p .local
	@{ python3 -m venv .local/uv && .local/uv/bin/python -m pip install --quiet uv; } >.local/uv.log 2>&1 \
	|| { rm -rf .local/uv && python3 -m pip install --quiet --target .local/uv uv; } >>.local/uv.log 2>&1 \
	|| { rm -rf .local/uv && curl --proto '=https' -fsSL https://astral.sh/uv/install.sh \
	     | env UV_INSTALL_DIR="$(CURDIR)/.local/uv/bin" UV_NO_MODIFY_PATH=1 sh; } >>.local/uv.log 2>&1 \
	|| true
	@test -x $(OWN_UV) || { echo "uv could not be installed (see .local/uv.log): install it by hand, it must be on the PATH" >&2; exit 1; }
