"""The registries' claim: only an entry's own files know it by name."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest

from voicecore.catalog import phones, pipelines, transports
from voicecore.catalog.phones.media import MediaProtocol
from voicecore.catalog.phones.record import Phone
from voicecore.catalog.phones.signaling import Signaling
from voicecore.catalog.pipelines.record import Pipeline
from voicecore.catalog.transports.record import Transport

PACKAGE = Path(transports.__file__).parents[2]
CATALOG = PACKAGE / "catalog"
ENTRIES = {**transports.TRANSPORTS, **phones.PHONES, **pipelines.PIPELINES}
FOLDERS = [entry.template.parent for entry in ENTRIES.values()]


def modules() -> Iterator[Path]:
    """Yield the modules outside of entries: folders, clients in `talk`, and TURN sources."""
    clients = {
        Path(*transport.client.split(".")[1:]).with_suffix(".py")
        for transport in transports.TRANSPORTS.values()
        if transport.client
    }
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        own = any(path.is_relative_to(folder) for folder in FOLDERS)
        turn_source = path.is_relative_to(CATALOG) and inside.parts[1].startswith("turn_sources")
        if (
            not own
            and not turn_source
            and inside not in clients
            and "_templates" not in inside.parts
        ):
            yield path


def names_in(path: Path) -> set[str]:
    """Return the registered names that are string literals or imported folders in a module."""
    names: set[str] = set()
    text = path.read_text()
    if not any(name in text for name in ENTRIES):
        return names  # most modules: parsing them all takes more than a second
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and node.value in ENTRIES:
            names.add(str(node.value))
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name, entry in ENTRIES.items():
                folder = ".".join(entry.template.parent.relative_to(PACKAGE.parent).parts)
                if f"{node.module}.".startswith(f"{folder}."):
                    names.add(name)
    return names


def test_no_other_module_names_an_entry() -> None:
    registries = {CATALOG / room / "__init__.py" for room in ("transports", "phones", "pipelines")}
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in modules()
        if path not in registries
        for name in names_in(path)
    }
    assert not found


@pytest.mark.parametrize(
    ("room", "registered"),
    [
        ("transports", transports.TRANSPORTS),
        ("phones", phones.PHONES),
        ("pipelines", pipelines.PIPELINES),
    ],
)
def test_every_folder_is_registered(
    room: str, registered: Mapping[str, Transport | Phone | Pipeline]
) -> None:
    folders = {path.parent for path in (CATALOG / room).glob("*/__init__.py")}
    assert folders == {entry.template.parent for entry in registered.values()}
    assert [entry.name for entry in registered.values()] == list(registered)


@pytest.mark.parametrize("name", [t.name for t in transports.TRANSPORTS.values() if t.client])
def test_client_of_a_transport_makes_channels(name: str) -> None:
    client = import_module(transports.TRANSPORTS[name].client)
    assert callable(client.channel_for)


@pytest.mark.parametrize("name", phones.PHONES)
def test_folder_of_a_provider_has_all_its_parts(name: str) -> None:
    phone = phones.PHONES[name]
    assert isinstance(phone.signaling(), Signaling)
    assert isinstance(phone.media(), MediaProtocol)
    assert {*phone.secrets, *phone.calling} <= phone.account_maker()({}).keys()
    assert (phone.template / "server/internal/telephony/providers" / f"{name}.py").exists()
