# `make help` lists what there is. ROS_DISTRO and PYTHON count on the command line only: a sourced
# ROS 2 sets ROS_DISTRO, too, and must not change what is built here.
ROS_DISTRO = jazzy
VENV = $(if $(filter jazzy,$(ROS_DISTRO)),.venv,.venv-$(ROS_DISTRO))
PYTHON = $(firstword $(wildcard $(VENV)/bin/python) python3)
ARGS =
GPU_VENV = .venv-gpu
CUDA = $(if $(wildcard /usr/local/cuda-12*),12,13)

ENV = VENV=$(VENV) tools/env.sh
# On a DDS domain of its own and on this machine only: no robot nearby, and no second run, notices.
ALONE = ROS_DOMAIN_ID=$$($(PYTHON) tools/ros_domain.py) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST $(ENV)
# The tests, a process on each of up to four cores; a worker that has nothing left takes over half of another's rest.
PARALLEL = -n auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup dev demo quick test gpu floors lint format tiny bench clean

help:  ## list the targets
	@echo 'make TARGET [ROS_DISTRO=jazzy|kilted] [PYTHON=python3.12] [ARGS=...]'
	@sed -n 's/^\([a-z]*\):.*  ## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## make the virtual environment with ROS 2, and build the interfaces
	@$(PYTHON) tools/setup.py --distro $(ROS_DISTRO) --venv $(VENV)

dev:  ## the same with what tests, export and training need: PyTorch and more
	@$(PYTHON) tools/setup.py --distro $(ROS_DISTRO) --venv $(VENV) --dev

demo: setup  ## play the packaged recording into the node, and ask it questions
	@$(ALONE) python -m ros2_llava_phi.demo $(ARGS)

quick: dev  ## run the tests that take little: no export, no training, no ROS process
	@$(ALONE) pytest $(PARALLEL) -m 'not slow' $(ARGS)

test: dev  ## run all tests; ARGS goes to pytest
	@$(ALONE) pytest $(PARALLEL) --durations=30 $(ARGS)

# With the system's Python, for which JetPack has TensorRT, unless another is named.
gpu: PYTHON = python3
gpu:  ## on a machine with an NVIDIA GPU: build plans for it, and run the tests that need it
	@test -x $(GPU_VENV)/bin/pytest || { $(PYTHON) -m venv --system-site-packages $(GPU_VENV) && \
	$(GPU_VENV)/bin/pip install '.[train]' 'cuda-python==$(CUDA).*' pytest==9.2.0; }
	@$(GPU_VENV)/bin/python -m pytest -m gpu tests/test_gpu.py $(ARGS)

floors: dev  ## resolve the versions that setup.cfg admits, and run the quick tests with the lowest
	@$(ENV) python tools/floors.py --venv $(VENV)/floors

lint: dev  ## check style, format, types, who imports whom, and what is used of ROS 2
	@$(ENV) ruff check
	@$(ENV) ruff format --check
	@$(ENV) mypy
	@$(ENV) lint-imports --no-cache
	@$(ENV) python tools/node_parameters.py --check
	@$(ENV) python tools/ros_api.py

format: dev  ## write what says the node's parameters, and put the code into the project's format
	@$(ENV) python tools/node_parameters.py
	@$(ENV) ruff check --fix
	@$(ENV) ruff format

tiny: dev  ## regenerate the scenes, and train the packaged model from scratch
	@$(ENV) python -m tiny.make $(ARGS)

bench: dev  ## measure the full-size model beside other libraries, and write docs/performance.md
	@# One by one: whichever cannot be installed is not measured.
	@sed '/^#/d' requirements/bench.txt | while read package; do \
		$(ENV) pip install --quiet --constraint requirements/run.txt --constraint requirements/train.txt \
			--constraint requirements/dev.txt "$$package" </dev/null || true; \
	done
	@$(ENV) python benchmarks/engines.py $(ARGS)

clean:  ## remove what setup made for this ROS_DISTRO
	rm -rf $(VENV) $(GPU_VENV) *.egg-info
