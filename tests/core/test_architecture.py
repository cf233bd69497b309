"""The arrows of the house: who may import what, read from every file's imports, lazy ones included; sizes and words."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for path in [ROOT / "__init__.py", *ROOT.glob("nodes/**/*.py"), *ROOT.glob("revpers_core/**/*.py")]
    if "__pycache__" not in path.parts
)
TESTS = sorted(path for path in ROOT.glob("tests/**/*.py") if "__pycache__" not in path.parts)
COMFY = {
    "comfy",
    "comfy_api",
    "comfy_extras",
    "comfy_execution",
    "folder_paths",
    "server",
    "latent_preview",
    "execution",
}
ROOMS = ("method", "adapters", "metrics", "pocket", "faces", "media", "audit", "hosts", "datasets", "lab", "cli")
"""The rooms of revpers_core, lowest first: each imports from itself and from those before it. `lab` is for `cli`
alone."""
DIFFUSERS = {"diffusers", "transformers", "accelerate", "peft"}
NETWORK = {"requests", "urllib", "urllib3", "http", "httpx", "aiohttp", "socket", "ftplib", "huggingface_hub"}
DANGEROUS = {"subprocess", "pickle", "marshal", "ctypes", "shutil"}
# (what, where it may be imported)
ALLOWED = [
    (COMFY, ("__init__.py", "nodes/", "revpers_core/hosts/comfy")),
    (DIFFUSERS, ("revpers_core/hosts/diffusers",)),
    ({"onnx", "onnxscript"}, ("revpers_core/lab/onnx_files.py",)),
    (NETWORK, ()),
    (DANGEROUS, ()),
]
EXCEPTIONS = {
    ("revpers_core/lab/text.py", "transformers"),  # the stock tokenizer, for training
    ("revpers_core/lab/loop.py", "shutil"),  # free disk space, while training
    ("revpers_core/adapters/weights.py", "pickle"),  # the name of an error only
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> list[tuple[int, str]]:
    """(level, module) of every import; level 0 is absolute."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            found += [(node.level, ".".join(filter(None, (stem, alias.name)))) for alias in node.names]
    return found


def target(path: Path, level: int, module: str) -> str:
    """Where a relative import points, as a path from the root."""
    folder = path.parents[level - 1].relative_to(ROOT).as_posix()
    return "/".join(filter(None, (folder.strip("."), module.replace(".", "/"))))


def of_room(place: str) -> str | None:
    """The room of a path from the root; None outside the core."""
    parts = place.split("/")
    return parts[1] if parts[0] == "revpers_core" and len(parts) > 1 and parts[1] in ROOMS else None


def faults(path: Path, source: str) -> list[str]:
    tree, here, wrong = ast.parse(source), name(path), []
    for level, module in imports(tree):
        top = module.split(".")[0]
        if level == 0:
            if top in ("nodes", "revpers_core"):
                wrong.append(f"{here}: import {module} must be relative")
            wrong += [
                f"{here}: may not import {module}"
                for names, places in ALLOWED
                if top in names and not here.startswith(places) and (here, top) not in EXCEPTIONS
            ]
            continue
        there = target(path, level, module)
        if here.startswith("revpers_core") and not there.startswith("revpers_core"):
            wrong.append(f"{here}: the core may not import {there}")
        if (room := of_room(here)) and (other := of_room(there)) and ROOMS.index(other) > ROOMS.index(room):
            wrong.append(f"{here}: {room} lies below {other}")
        if of_room(there) == "lab" and room not in ("lab", "cli"):
            wrong.append(f"{here}: the product may not import the lab")
        if there.startswith("revpers_core/hosts/diffusers") and here.startswith("nodes/"):
            wrong.append(f"{here}: the nodes work over ComfyUI's host, not {there}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys":
            wrong.append(f"{here}: touches sys.path")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec", "compile", "__import__"):
            wrong.append(f"{here}: calls {node.func.id}")
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("system", "popen")
            and getattr(node.value, "id", "") == "os"
        ):
            wrong.append(f"{here}: calls os.{node.attr}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_arrows_are_straight(path):
    assert faults(path, path.read_text()) == []


def test_every_module_is_in_a_room():
    """But what the README's Python of the last release names."""
    loose = {path.name for path in ROOT.glob("revpers_core/*.py")}
    rooms = {path.name for path in ROOT.glob("revpers_core/*/") if path.name != "__pycache__"}
    assert loose == {"__init__.py", "types.py", "images.py"} and rooms == set(ROOMS)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("revpers_core/method/solver.py", "import comfy.samplers"),
        ("revpers_core/method/solver.py", "def f():\n    from diffusers import UNet2DConditionModel"),
        ("revpers_core/hosts/diffusers.py", "import folder_paths"),
        ("revpers_core/method/anonymize.py", "from ..hosts import diffusers"),
        ("revpers_core/method/anonymize.py", "from ..hosts.comfy import adapt"),
        ("revpers_core/method/anonymize.py", "from ..faces.geometry import cut"),
        ("revpers_core/media/photo.py", "from ..audit import report"),
        ("revpers_core/method/anonymize.py", "from ...nodes import loaders"),
        ("revpers_core/hosts/comfy.py", "from ...nodes.sockets import schema"),
        ("revpers_core/hosts/diffusers.py", "from ..lab import nets"),
        ("nodes/faces.py", "from ..revpers_core.lab import nets"),
        ("nodes/faces.py", "from revpers_core.method.types import Identity"),
        ("nodes/faces.py", "import nodes"),
        ("nodes/faces.py", "from ..revpers_core.hosts.diffusers import ReversePersonalizationPipeline"),
        ("nodes/__init__.py", "import sys\nsys.path.insert(0, '.')"),
        ("revpers_core/cli/main.py", "import urllib.request"),
        ("revpers_core/cli/main.py", "import subprocess"),
        ("revpers_core/cli/main.py", "eval('1')"),
        ("revpers_core/cli/main.py", "import os\nos.system('ls')"),
    ],
)
def test_a_crooked_arrow_is_seen(where, source):
    assert faults(ROOT / where, source) != []


def test_the_core_imports_without_any_host():
    """Nothing of a host is pulled in by the main path."""
    import subprocess
    import sys

    code = (
        "import sys, revpers_core.method.anonymize, revpers_core.faces.recognise, revpers_core.adapters.weights\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('diffusers', 'transformers', 'comfy', 'onnxruntime')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert out.stdout.strip() == "[]"


MODULE, FUNCTION = 300, 60
"""Lines at most."""


@pytest.mark.parametrize("path", FILES, ids=name)
def test_modules_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION
    ]
    assert not long


SAYS_NOTHING = {"made", "told", "few", "mine", "theirs", "who", "whom"}
"""Names of ours for values, instead of a word of the field for what they hold."""
NOR_THESE = {"one", "worn", "wish", "wishes", "shelf", "beginner"}
"""In what ships; a test may call the only thing that it has ``one``."""
SOCKETS = ("execute", "fingerprint_inputs", "validate_inputs")
"""Methods of a node whose parameters are its sockets: workflows in the wild name them."""


def empty_names(where: str, source: str) -> list[str]:
    """Parameters and assigned locals that do not say what they hold."""
    tree, sockets = ast.parse(source), set[ast.arg]()
    for node in ast.walk(tree):
        if where.startswith("nodes/") and isinstance(node, ast.FunctionDef) and node.name in SOCKETS:
            sockets |= {*node.args.args, *node.args.kwonlyargs}
    names = [
        (node.lineno, node.arg if isinstance(node, ast.arg) else node.id)
        for node in ast.walk(tree)
        if (isinstance(node, ast.arg) and node not in sockets)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]
    words = SAYS_NOTHING if where.startswith("tests/") else SAYS_NOTHING | NOR_THESE
    return [f"{where}:{line}: {word}" for line, word in names if word.strip("_") in words]


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=name)
def test_names_say_what_they_hold(path):
    assert empty_names(name(path), path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(who): ...",
        "def f(*, told=None): ...",
        "made = 1",
        "for few in range(3): ...",
        "[mine for mine in range(3)]",
        "lambda theirs: 1",
        "print(whom := 1)",
        "[one for one in range(3)]",
        "def f(wishes): ...",
    ],
)
def test_a_name_that_says_nothing_is_seen(source):
    assert empty_names("nodes/faces.py", source) != []


def test_a_test_may_call_the_only_thing_one():
    assert empty_names("tests/core/test_x.py", "one = 1") == [] != empty_names("tests/core/test_x.py", "made = 1")


def test_sockets_keep_their_names():
    source = "def execute(cls, who): ...\n"
    assert empty_names("nodes/pseudonym.py", source) == []
    assert empty_names("revpers_core/media/photo.py", source) != []
