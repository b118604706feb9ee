"""A company's project, and the places its package comes from, by real parts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.standins.package_index import git_over_http, package_index
from tests.unit.image.sample_project import PRUNE, PYTHON, make_wheel
from voicecore.image.builders.host_packages import HostPackages, install_here
from voicecore.image.inputs import lockfile
from voicecore.image.inputs.build_context import sources_of
from voicecore.image.inputs.locked_packages import InstallTarget

LOGIN = ("ada", "s3cret-of-the-index")
TARGET = InstallTarget(python=(int(PYTHON.split(".")[0]), int(PYTHON.split(".")[1])))

# A build backend in the package itself, so that a build needs no other package.
BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    name, info = "{name}-1.0-{tag}.whl", "{name}-1.0.dist-info"
    files = {{
        "{name}.py": open("{name}.py").read(),
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n",
    }}
    files[info + "/RECORD"] = "".join(path + ",,\\n" for path in [*files, info + "/RECORD"])
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


@dataclass
class Company:
    """A project's agent with one package named `shared`, and how the user logs in."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def agent(self) -> Path:
        return self.folder / "ada/agent"

    def require(self, source: str = "", settings: str = "") -> None:
        """Write an agent that requires `shared` from `source`, by default uv's own indexes."""
        sources = f"[tool.uv.sources]\nshared = {source}\n" if source else ""
        (self.agent / "internal").mkdir(parents=True, exist_ok=True)
        (self.agent / "internal/prune.py").write_text(PRUNE)
        (self.agent / "pyproject.toml").write_text(
            f'[project]\nname = "an-agent"\nversion = "0.1.0"\nrequires-python = ">={PYTHON}"\n'
            'dependencies = ["shared"]\n[tool.uv]\npackage = false\n'
            f"{settings}\n{sources}"
        )

    def write_source(self, place: Path, tag: str = "py3-none-any") -> Path:
        """Write the source of `shared`, which builds a wheel with `tag`."""
        place.mkdir(parents=True)
        (place / "shared.py").write_text('NAME = "shared"\n')
        (place / "backend.py").write_text(BACKEND.format(name="shared", tag=tag))
        (place / "pyproject.toml").write_text(
            '[project]\nname = "shared"\nversion = "1.0"\n'
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        return place

    def files(self) -> dict[str, Path]:
        """Lock, install here, and return the files for the build context."""
        lockfile.ensure_lock(self.agent, self.env)
        path = lockfile.lock_path(self.agent, self.env)
        lock = lockfile.read_lock(self.agent, path)
        lockfile.require_virtual(self.agent, lock)
        lockfile.require_wheels(self.agent, lock, TARGET, path)
        wanted = HostPackages(self.agent, lock, path.read_bytes().hex()[-60:], TARGET)
        in_workspace = path.parent != self.agent
        return sources_of(install_here(wanted, in_workspace, self.env, self.folder / "store"))


def make_repository(company: Company) -> Path:
    folder = company.write_source(company.folder / "repository")
    git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run([*git, *words], check=True)
    return folder


@contextmanager
def folder_source(company: Company) -> Iterator[None]:
    company.write_source(company.folder / "ada/libraries/shared")
    company.require('{ path = "../libraries/shared" }')
    yield


@contextmanager
def folder_in_agent(company: Company) -> Iterator[None]:
    company.write_source(company.agent / "libraries/shared")
    company.require('{ path = "libraries/shared", editable = true }')
    yield


@contextmanager
def wheel_file(company: Company) -> Iterator[None]:
    wheel = make_wheel(company.folder, "shared")
    company.require(f'{{ path = "{wheel}" }}')
    yield


@contextmanager
def git_file(company: Company) -> Iterator[None]:
    company.require(f'{{ git = "file://{make_repository(company)}" }}')
    yield


@contextmanager
def git_http(company: Company) -> Iterator[None]:
    with git_over_http(make_repository(company)) as url:
        company.require(f'{{ git = "{url}" }}')
        yield


@contextmanager
def own_index(
    company: Company, login: bool = True, hashes: bool = True, explicit: bool = True
) -> Iterator[str]:
    wheels = company.folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "shared")
    with package_index(wheels, LOGIN if login else None, hashes) as url:
        index = f'[[tool.uv.index]]\nname = "corp"\nurl = "{url}"\n'
        company.require('{ index = "corp" }', index + ("explicit = true\n" if explicit else ""))
        yield url


@contextmanager
def netrc_login(company: Company) -> Iterator[None]:
    with own_index(company):
        (company.folder / "home").mkdir()
        name, password = LOGIN
        line = f"machine 127.0.0.1 login {name} password {password}\n"
        (company.folder / "home/.netrc").write_text(line)
        yield


@contextmanager
def variable_login(company: Company) -> Iterator[None]:
    with own_index(company, explicit=False):
        company.env |= {"UV_INDEX_CORP_USERNAME": LOGIN[0], "UV_INDEX_CORP_PASSWORD": LOGIN[1]}
        yield


@contextmanager
def keyring_login(company: Company) -> Iterator[None]:
    with own_index(company):
        program = company.folder / "bin/keyring"
        program.parent.mkdir()
        # `keyring get --mode creds SERVICE` prints both.
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' {LOGIN[0]} {LOGIN[1]}\n")
        program.chmod(0o755)
        company.env["PATH"] = f"{program.parent}:{company.env['PATH']}"
        company.env["UV_KEYRING_PROVIDER"] = "subprocess"
        settings = company.agent / "pyproject.toml"
        text = settings.read_text()
        settings.write_text(text.replace("explicit =", 'authenticate = "always"\nexplicit ='))
        yield


@contextmanager
def index_in_uv_toml(company: Company) -> Iterator[None]:
    with own_index(company, login=False) as url:
        company.require()
        settings = company.folder / "home/.config/uv/uv.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[index]]\nname = "corp"\nurl = "{url}"\ndefault = true\n')
        yield


@contextmanager
def index_without_hashes(company: Company) -> Iterator[None]:
    with own_index(company, login=False, hashes=False):
        yield


@contextmanager
def workspace(company: Company) -> Iterator[None]:
    company.write_source(company.folder / "ada/shared")
    company.require("{ workspace = true }")
    (company.folder / "ada/pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["agent", "shared"]\n'
    )
    yield
