"""The mutation run plants the faults that people make, and only where code runs."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import ROOT, equivalents, project_files
from tests.mutants.mutations import mutations
from tests.mutants.targets import TARGETS


def sources(code: str) -> set[str]:
    return {mutation.source() for mutation in mutations(code)}


@pytest.mark.parametrize(
    ("code", "faulty"),
    [
        ("a <= b", {"a < b"}),
        ("a and b", {"a or b"}),
        ("not a", {"a"}),
        ("LIMIT = 64", {"LIMIT = 65"}),
        ("TLS = True", {"TLS = False"}),
        ("f(1, verify=check)", {"f(1)", "f(2, verify=check)", "pass"}),
        ("Statement(sid=name)", {"pass"}),
        ("if wrong:\n    raise Refused", {"if False:\n    raise Refused", "if wrong:\n    pass"}),
        ("[x for x in names if x]", {"[x for x in names if True]"}),
        ("NAMES = {'a', 'b'}", {"NAMES = {'a'}", "NAMES = {'b'}"}),
        ("A = 'Get Put Stop'", {"A = 'Get Put'", "A = 'Get Stop'", "A = 'Put Stop'"}),
        ("A = 'key|token|secret'", {"A = 'key|token'", "A = 'key|secret'", "A = 'token|secret'"}),
        ("arn(f'secret:{name}-*')", {"arn(f'secret:{name}*')", "pass"}),
        ("def f():\n    return g(1)", {"def f():\n    return None", "def f():\n    return g(2)"}),
    ],
)
def test_fault_is_planted(code: str, faulty: set[str]) -> None:
    assert sources(code) == faulty


def test_types_docstrings_and_messages_are_left_alone() -> None:
    code = '"""One, two and three."""\nif TYPE_CHECKING:\n    import x\na: tuple[int, str]\n'
    assert sources(code + "@dataclass(frozen=True)\nclass A:\n    pass\nf'{a + 1}'") == set()


def test_mutation_leaves_the_rest_as_it_was() -> None:
    first, second = mutations("a < 1")
    assert (first.source(), second.source(), first.source()) == ("a <= 1", "a < 2", "a <= 1")
    assert (second.line, second.change) == (1, "1 → 2")


def source_of(module: str) -> str:
    """Return a module of a generated project, or of this repository."""
    generated = project_files()
    return generated[module].decode() if module in generated else (ROOT / module).read_text()


def test_every_target_exists() -> None:
    generated = project_files()
    for target in TARGETS:
        for path in (target.module, *target.tests):
            assert path in generated if target.project else (ROOT / path).is_file(), path


def test_mutations_that_are_judged_equivalent_exist() -> None:
    for module, reasons in equivalents().items():
        changes = [mutation.change for mutation in mutations(source_of(module))]
        for start in reasons:
            assert any(change.startswith(start) for change in changes), (module, start)
