"""The code of the tutorial fits the project that its first command creates."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks_in

TUTORIAL = ROOT / "docs/tutorial.md"
HOURS_RULE = r'    if re.search(r"\b(open|opening|close|closing|hours)\b", said):'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the tutorial's first block."""
    init = next(blocks_in(TUTORIAL)).commands[0]
    folder = tmp_path_factory.mktemp("tutorial")
    subprocess.run([sys.executable, "-m", *init], cwd=folder, check=True)
    return folder / init[2]


@pytest.fixture(scope="module")
def snippets() -> list[tuple[str, str]]:
    """File and code of every Python block."""
    return re.findall(r'```python title="(.*?)"\n(.*?)```', TUTORIAL.read_text(), re.DOTALL)


def test_tool_fits_bot(project: Path, snippets: list[tuple[str, str]]) -> None:
    (tool_file, tool), (tools_file, tools), _ = snippets
    assert tool_file == tools_file == "agent/bot.py"
    before, after = (project / tool_file).read_text().split("TOOLS = [opening_hours]\n")
    names = {node.id for node in ast.walk(ast.parse(tool)) if isinstance(node, ast.Name)}
    module = ast.parse(before + tool + tools + after)
    defined = {alias.name for node in module.body if isinstance(node, ast.ImportFrom)
               for alias in node.names}  # fmt: skip
    assert {"FunctionCallParams"} <= names & defined
    assert tools == "TOOLS = [opening_hours, order_status]\n"


def test_rule_fits_responder(project: Path, snippets: list[tuple[str, str]]) -> None:
    *_, (file, rule) = snippets
    source = (project / file).read_text()
    assert source.count(HOURS_RULE) == 1
    ast.parse(source.replace(HOURS_RULE, rule + HOURS_RULE))
    assert "class ToolCall" in source and "import re" in source


def test_files_of_table_exist(project: Path) -> None:
    names = re.findall(r"^\| `([^`]+)` \|", TUTORIAL.read_text(), re.MULTILINE)
    assert len(names) == 5
    assert [name for name in names if not (project / name).exists()] == []
