# Every target makes its own environment first; a second run installs nothing.
#
#   make video SCENE=mean_lr.toml     make test     make help

# The first Python that really runs, is new enough and can make environments.
PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
             $$p -I -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SCENE   ?= mean_lr.toml
QUALITY ?= auto
FRAME   ?= last
# GPU=cuda13 (or cuda12 for older drivers) installs JAX for NVIDIA GPUs, and Warp for the fused kernel; GPU=fused
# installs Warp alone, for that kernel's tests on a processor.
GPU     ?=
# PIP=1 installs with pip alone, for networks where only pip is set up.
PIP     ?=
# Anything else for the command: ARGS="--budget 60"
ARGS    ?=

# What is given is taken as it stands, $ and quotes included, and reaches the commands through their environment.
CHOSEN := $(filter-out file,$(origin SCENE))
override SCENE   := $(value SCENE)
override QUALITY := $(value QUALITY)
override FRAME   := $(value FRAME)
export SCENE QUALITY FRAME

# Set for other programs (a cluster's modules, a shell's settings), these put other packages before those of .venv,
# or install into another place. Where packages come from (PIP_INDEX_URL, UV_INDEX_URL, PIP_CERT) stays as it is.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONPLATLIBDIR PYTHONUSERBASE VIRTUAL_ENV CONDA_PREFIX
unexport PIP_TARGET PIP_USER PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_REQUIREMENT PIP_CONSTRAINT PIP_EDITABLE PIP_NO_DEPS
unexport PIP_DRY_RUN PIP_IGNORE_INSTALLED PIP_REQUIRE_VIRTUALENV PIP_PLATFORM PIP_ABI PIP_IMPLEMENTATION
unexport PIP_PYTHON_VERSION PIP_SRC PIP_UPGRADE
unexport UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_EXCLUDE_NEWER
unexport UV_RESOLUTION UV_PRERELEASE UV_WORKING_DIR UV_WORKING_DIRECTORY UV_PROJECT UV_NO_BUILD_ISOLATION
unexport UV_BUILD_CONSTRAINT UV_NO_EDITABLE UV_DRY_RUN

LOCKS  := requirements/lock.txt $(if $(GPU),requirements/$(GPU).txt)
BIN    := .venv/bin
# The stamp knows what was installed and where: a copied or moved checkout sets itself up again.
STAMP  := .venv/installed-$(shell { cat $(LOCKS) pyproject.toml Makefile; pwd -P; } 2>/dev/null | cksum | cut -d' ' -f1)$(PIP)
# The Python that .venv was made with may be gone.
RUNS   := $(shell $(BIN)/python -I -c 'print(1)' 2>/dev/null)

.PHONY: again help video preview frame sheet explore plan test quick check bench soak api lock axe clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

video: $(STAMP) ## the film of SCENE; QUALITY=auto, scene, preview, soft, draft, fine, hd, full, uhd
	@$(BIN)/render video "$$SCENE" --quality "$$QUALITY" $(ARGS)

preview: $(STAMP) ## a small film of SCENE, in minutes
	@$(BIN)/render preview "$$SCENE" $(ARGS)

frame: $(STAMP) ## single frames: FRAME=120, 50%, last, t=12.5s, 1,5,9..20
	@$(BIN)/render frame "$$SCENE" "$$FRAME" --quality "$$QUALITY" $(ARGS)

sheet: $(STAMP) ## 24 frames of SCENE on one page
	@$(BIN)/render sheet "$$SCENE" --quality "$$QUALITY" $(ARGS)

# Without SCENE on the command line, a scene is chosen in the page.
explore: $(STAMP) ## find a target with the mouse, in a page on this machine
	@$(BIN)/render explore $(if $(CHOSEN),"$$SCENE") $(ARGS)

plan: $(STAMP) ## what the film would cost; trains nothing
	@$(BIN)/render plan "$$SCENE" --quality "$$QUALITY" $(ARGS)

test: check ## lint, types, import layers and all tests
	@$(BIN)/python -m pytest -q -n auto --dist loadfile $(ARGS)

quick: $(STAMP) ## the laws of pure functions, while you work: no processes, one system
	@$(BIN)/python -m pytest -q --quick -n auto --dist worksteal $(ARGS)

check: $(STAMP) ## lint, types and import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }

bench: $(STAMP) ## speed, as ratios measured side by side
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(STAMP) ## kills, damage, malformed scenes, strange environments, a million tiles: an hour; ARGS="kills 50" for one part
	@$(BIN)/python -m tests.soak $(ARGS)

api: $(STAMP) ## write assets/docs/api.md from the docstrings of the public names
	@$(BIN)/python .ci/api.py assets/docs/api.md

lock: $(STAMP) ## resolve the locked dependencies again
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra analyse --extra cluster --extra export --extra own -o requirements/lock.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra analyse --extra cluster --extra export --extra own --extra gpu-fused --extra cuda12 -c requirements/lock.txt -o requirements/cuda12.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra analyse --extra cluster --extra export --extra own --extra gpu-fused --extra cuda13 -c requirements/lock.txt -o requirements/cuda13.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra analyse --extra cluster --extra export --extra own --extra gpu-fused -c requirements/lock.txt -o requirements/fused.txt

axe: $(STAMP) ## fetch axe-core, which the test of the explorer's accessibility runs in a browser (needs npm)
	@mkdir -p .venv/axe && cd .venv/axe && npm pack --silent axe-core@4.14.1 > /dev/null && tar xzf axe-core-4.14.1.tgz

clean: ## remove the environment (trained samples in store/ and films in out/ stay)
	@rm -rf .venv

$(STAMP): $(if $(RUNS),,again)
	@test -n "$(PYTHON)" || { echo "render needs Python 3.11 or newer with its venv module (on Debian or Ubuntu:" \
		"apt install python3-venv). If it is not on the PATH: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv (once; about 800 MB)"
	@$(PYTHON) -I -m venv --clear .venv
	@if [ -n "$(PIP)" ]; then \
		$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(lastword $(LOCKS)); \
	else \
		$(BIN)/python -m pip install -q --disable-pip-version-check uv && \
		$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r $(lastword $(LOCKS)); \
	fi
	@$(BIN)/python -I .ci/link.py
	@touch $@
