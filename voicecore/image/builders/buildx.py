"""The `buildx` builder: builds with the Dockerfile in a Docker engine, and pushes from there."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.blob_store import disk_full_explained
from voicecore.image.builders.buildx_command import BuildxInputs, build_environment, buildx_argv
from voicecore.image.builders.buildx_output import BuildFailed, BuildTranscript, build_error
from voicecore.image.builders.packages import copy_files
from voicecore.image.cache_folders import blobs_folder
from voicecore.image.docker.client_config import HELPER_FAILED, helper_failed, without_helpers
from voicecore.image.docker.endpoint import EngineUnavailable
from voicecore.image.docker.engine import Engine, is_disk_full
from voicecore.image.docker.push import push
from voicecore.image.docker.smoke_test import SmokeTestResult, smoke_test
from voicecore.image.inputs import fingerprint
from voicecore.image.inputs.context_walk import IGNORE_FILE
from voicecore.image.model import BuiltImage
from voicecore.image.plan import BuildPlan
from voicecore.image.registry.reference import Reference

_RAWJSON_SINCE = (0, 13)  # first version of buildx with --progress rawjson
_GRACE_SECONDS = 10.0  # for buildx to cancel the build in the engine
_SECRET_BYTES_MAX = 500_000  # BuildKit's own limit (session/secrets, MaxSecretSize)


class NoBuildx(EngineUnavailable):
    """The docker command has no buildx plugin, or the engine no BuildKit."""


def build_plan(
    plan: BuildPlan, fresh: bool, engine: Engine, env: Mapping[str, str], on_progress: OnProgress
) -> BuildxBuild:
    """Build the image of `plan`, unless the engine has it. Raises as `build` does."""
    name = plan.local_reference
    unchanged = not fresh and engine.has(name)
    if not unchanged:
        with _context(plan, blobs_folder(env)) as context:
            inputs = BuildxInputs(
                context=context,
                name=name,
                base=plan.base.reference,
                epoch=fingerprint.epoch_of(plan.base),
                labels=plan.labels,
                no_cache=fresh,
                copied=context != plan.folder,
            )
            build(engine, inputs, env, on_progress)
    image = engine.inspect(name, plan.tag, base_layers=len(plan.base.manifest["layers"]))
    return BuildxBuild(plan, image, engine, on_progress, unchanged)


@contextmanager
def _context(plan: BuildPlan, store: Path) -> Generator[Path]:
    """Give the folder to build: the part's own, or a copy with what comes from elsewhere.

    A user's own Dockerfile may copy all that is there, so it gets a copy without secrets.
    """
    if not plan.sources and not plan.own:
        yield plan.folder
        return
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix="work-") as temporary:
        context = Path(temporary) / plan.part
        # Without .dockerignore: the files are what it leaves, and more.
        files = [file.path for file in plan.files if file.path != IGNORE_FILE]
        with disk_full_explained(store):
            copy_files(plan.folder, files, context, plan.sources)
        yield context


@dataclass(frozen=True)
class BuildxBuild:
    """An image in a Docker engine."""

    plan: BuildPlan
    image: BuiltImage
    engine: Engine
    on_progress: OnProgress
    unchanged: bool

    @property
    def location(self) -> str:
        """Reference of the image in the engine."""
        return self.plan.local_reference

    def check(self, engine: Engine) -> SmokeTestResult:
        """Run the image's smoke test."""
        run = (engine, self.location, self.image, self.plan.project.platforms, self.on_progress)
        return smoke_test(*run, generated=not self.plan.own)

    def push(self, target: Reference) -> str:
        """Push the image to `target`; return the digest of its manifest."""
        self.engine.tag(self.location, target.name, target.tag)
        source = self.plan.logins.source_for(target.registry)
        return push(self.engine, self.image, target, source, self.on_progress)


def require_buildx(engine: Engine, env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version of buildx. Raises NoBuildx if `engine` cannot build."""
    if engine.is_podman:
        raise NoBuildx(
            "podman has no BuildKit, which builds for arm64.",
            "Build without it:  voicecore build --builder direct",
        )
    engine.buildx = engine.buildx or buildx_version(env)
    return engine.buildx


def buildx_version(env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version of docker's buildx plugin, such as (0, 13, 1). Raises NoBuildx."""
    try:
        run = subprocess.run(
            ["docker", "buildx", "version"],
            env=dict(env), capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise no_buildx("This machine has no docker command", sys.platform) from None
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", run.stdout)
    if run.returncode != 0 or not found:
        raise no_buildx("docker has no buildx plugin, which builds for arm64", sys.platform)
    return tuple(int(number) for number in found.groups())


def no_buildx(what: str, system: str) -> NoBuildx:
    """Return the error that says how to install buildx on a system (as sys.platform names it)."""
    install = (
        "brew install docker docker-buildx && mkdir -p ~/.docker/cli-plugins\n"
        "  ln -sf $(brew --prefix)/bin/docker-buildx ~/.docker/cli-plugins/"
        if system == "darwin"
        else "sudo apt-get install docker-buildx-plugin    (from Docker's packages)\n"
        "  sudo apt-get install docker-buildx           (from Debian 13 or newer, or Ubuntu)\n"
        "  sudo dnf install docker-buildx-plugin        (Fedora, RHEL)"
    )
    return NoBuildx(
        f"{what}.",
        f"Install it:\n  {install}\nor build without it:  voicecore build --builder direct",
    )


def build(
    engine: Engine, inputs: BuildxInputs, env: Mapping[str, str], on_progress: OnProgress
) -> None:
    """Build `inputs`; the engine then has the image by `inputs.name`.

    Ctrl-C cancels the build in the engine too. Raises NoBuildx, BuildFailed, NoWheel or
    EngineDiskFull.
    """
    progress = "rawjson" if require_buildx(engine, env) >= _RAWJSON_SINCE else "plain"
    client_env = engine.client_env(env)
    secrets: dict[str, str] = {}
    if values := build_environment(env):
        client_env["VOICECORE_BUILD_ENVIRONMENT"] = values
        secrets["environment"] = "env=VOICECORE_BUILD_ENVIRONMENT"
    require_buildable(env)
    if certificates := env.get("SSL_CERT_FILE"):
        secrets["certificates"] = f"src={certificates}"
    command = buildx_argv(inputs, env, progress=progress, secrets=secrets)
    code, transcript = transcribe(command, client_env, on_progress)
    if code == 0:
        return
    if is_disk_full(transcript.failure_text):
        raise engine.disk_full()
    by_hand = "" if inputs.copied else shlex.join(buildx_argv(inputs, env))
    raise build_error(transcript, inputs, by_hand)


def transcribe(
    command: Sequence[str], env: Mapping[str, str], on_progress: OnProgress
) -> tuple[int, BuildTranscript]:
    """Run a build, and again without credential helpers if one fails: most bases need no login."""
    transcript = BuildTranscript(on_progress)
    code = run(command, env, transcript.add_line)
    if code and helper_failed(transcript.failure_text):
        on_progress(Progress(f"{HELPER_FAILED}; pulling without a login", finished=True))
        transcript = BuildTranscript(on_progress)
        with without_helpers(env) as anonymous:
            code = run(command, anonymous, transcript.add_line)
    return code, transcript


def require_buildable(env: Mapping[str, str]) -> None:
    """Raise BuildFailed for an environment that no build can use."""
    if certificates := env.get("SSL_CERT_FILE"):
        require_certificates(Path(certificates))


def require_certificates(path: Path) -> None:
    """Raise BuildFailed unless `path` can be mounted in the build."""
    if not path.is_file() or path.stat().st_size > _SECRET_BYTES_MAX:
        raise BuildFailed(
            f"SSL_CERT_FILE names {path}, which is not a file of at most "
            f"{_SECRET_BYTES_MAX // 1000} kB, BuildKit's limit.",
            "Name a file with only the certificates that you need, or:  unset SSL_CERT_FILE",
            ExitCode.USAGE,
        )


def run(command: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]) -> int:
    """Run `command`, pass each line of its output to `on_line`, and return its exit code.

    An interrupt is forwarded to the command, which is then waited for.
    """
    process = subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            for line in process.stdout or ():
                on_line(line.decode(errors="replace").rstrip("\n"))
            return process.wait()
        except BaseException:  # Ctrl-C and all others: no build may go on in the engine
            _interrupt(process)
            raise


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    # On a terminal, Ctrl-C has reached it already; buildx exits at once only after the third.
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
