"""The architecture's rules, held: who may import whom, and what `--help` may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "voicecore"

# A layer may import from its own and from lower ones.
LAYERS = [
    {"commands", "cli", "__main__"},
    {"scaffold", "image", "cloud", "local", "talk"},
    {"project", "context", "output", "agent_log", "variables", "aws_errors", "aws_session"},
    {
        *("names", "regions", "transports", "phones", "pipelines", "turn", "stages", "settings"),
        *("errors", "invites", "__init__"),
    },
]

# A package, and the only places that may import it.
OWNERS = {
    "rich": {"output"},
    "boto3": {"cloud", "image"},
    "docker": {"image", "local"},
    "questionary": {"scaffold"},
    "jinja2": {"scaffold"},
    "typer": {"cli"},
}


def imports_of(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(p for p in ROOT.rglob("*.py") if "_templates" not in p.parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_downwards(path: Path) -> None:
    level = {part: n for n, layer in enumerate(LAYERS) for part in layer}
    mine = part_of(path)
    for module in imports_of(path):
        if module.startswith("voicecore."):
            theirs = module.split(".")[1]
            if theirs in level and theirs != mine:
                assert level[theirs] >= level[mine], f"{path} imports {module}"
                if mine in LAYERS[1]:
                    assert theirs not in LAYERS[1], f"{path} imports its neighbour {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    for module in imports_of(path):
        owners = OWNERS.get(module.split(".")[0])
        assert owners is None or part_of(path) in owners, f"{path} imports {module}"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from voicecore.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print('loaded:', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.splitlines()[-1].split())
    heavy = {"rich", "boto3", "botocore", "docker", "questionary", "jinja2", "aiohttp",
             "asyncio", "numpy", "miniaudio", "watchfiles", "pydantic"}  # fmt: skip
    assert not loaded & heavy
