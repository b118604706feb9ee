"""The rules of the architecture: which room may import which, and what `--help` may import."""

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2] / "voicecore"

# The floors, top first. A room may import from itself and from lower floors only: never from above,
# and never from its neighbor.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"options"},
    {"talk"},
    {"cloud", "local", "adopt"},
    {"image"},
    {"scaffold"},
    {"aws"},
    {"project", "contract"},
    {"catalog"},
    {"console"},
    {"__init__"},
]

# Third-party packages, and the only rooms that may import them.
OWNERS = {
    "rich": {"console"},
    "boto3": {"aws"},
    "botocore": {"aws", "cloud", "image", "local"},
    "docker": {"image", "local"},
    "questionary": {"console", "scaffold"},
    "jinja2": {"scaffold"},
    "typer": {"cli"},
}


class Module(NamedTuple):
    imports: frozenset[str]
    imports_at_run_time: frozenset[str]
    classes: tuple[str, ...]


@cache
def module_at(path: Path) -> Module:
    """Parse a module, once for all tests."""
    tree = ast.parse(path.read_text())
    classes = tuple(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    at_run_time = [node for node in tree.body if not is_for_types(node)]
    return Module(imports_in(tree.body), imports_in(at_run_time), classes)


def imports_in(body: list[ast.stmt]) -> frozenset[str]:
    modules: set[str] = set()
    for node in (each for statement in body for each in ast.walk(statement)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(modules)


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(p for p in ROOT.rglob("*.py") if not {"_templates", "template"} & set(p.parts))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_from_lower_floors(path: Path) -> None:
    floor_of = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
    mine = room_of(path)
    for module in module_at(path).imports:
        if module.startswith("voicecore."):
            theirs = module.split(".")[1]
            if theirs in floor_of and theirs != mine:
                assert floor_of[theirs] > floor_of[mine], f"{path} imports {module}"


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in MODULES}
    assert rooms == set[str]().union(*FLOORS)


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=str)
def test_folder_holds_at_most_14_modules(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 14, f"{folder} has {len(modules)} modules side by side"


def test_a_class_name_has_one_meaning() -> None:
    classes = [name for path in MODULES for name in module_at(path).classes]

    assert [name for name, count in Counter(classes).items() if count > 1] == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    modules = {
        "voicecore." + ".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in MODULES
    }
    imports = {
        name: module_at(path).imports_at_run_time & modules.keys() for name, path in modules.items()
    }

    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_package_is_imported_only_by_its_owners(path: Path) -> None:
    for module in module_at(path).imports:
        owners = OWNERS.get(module.split(".")[0])
        assert owners is None or room_of(path) in owners, f"{path} imports {module}"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from voicecore.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print('loaded:', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.splitlines()[-1].split())
    heavy = {"rich", "boto3", "botocore", "docker", "questionary", "jinja2", "aiohttp",
             "asyncio", "numpy", "miniaudio", "watchfiles", "pydantic", "email", "ssl"}  # fmt: skip
    assert not loaded & heavy
