"""`docker buildx build` of the agent's Dockerfile: its command, its progress, its failures."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.docker.engine import Engine, NoBuildx, buildx_version, is_disk_full
from voicecore.image.inputs.lockfile import NoWheel
from voicecore.image.model import PLATFORM, Tell

_RAWJSON_SINCE = (0, 13)  # buildx's first version with --progress rawjson
_OUTPUT_LINES = 15
_GRACE_SECONDS = 10.0  # for buildx to tell the engine that the build is off
_SECRET_BYTES_MAX = 500_000  # BuildKit's own limit (session/secrets, MaxSecretSize)

# BuildKit's predefined build arguments (docs.docker.com/build/building/variables): they need no
# ARG, and appear neither in the image's history nor in the cache's keys.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")

# What uv and pip know of package indexes. UV_INDEX_<NAME>_PASSWORD is among them.
_INDEXES = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_\w+|EXTRA_INDEX_URL|INSECURE_HOST|HTTP_TIMEOUT|NO_CACHE)"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)"
)
_CERTIFICATES = "/run/secrets/certificates"

# As --load, but half as long: a containerd store compresses while it exports, by default at level
# 6, which makes layers 3 % smaller. The classic store compresses when it pushes, in its own way.
_INTO_ENGINE = "type=docker,compression=gzip,compression-level=3"


class BuildFailed(VoicecoreError):
    """An instruction of the Dockerfile failed; shows the line, its output and the command."""


class BaseMissing(BuildFailed):
    """The base image is not there, not for arm64, or closed to us."""


class NetworkDown(BuildFailed):
    """The base's registry or a package index could not be reached."""


class LockMismatch(BuildFailed):
    """uv.lock and pyproject.toml, or what an index holds, contradict each other."""


@dataclass(frozen=True)
class Order:
    """What is to be built."""

    context: Path
    """The agent's folder, with its Dockerfile."""
    name: str
    """`repository:tag` that the engine is to know the image by."""
    base: str
    """The base with its digest."""
    epoch: int
    """When the image shall be said to be made, in seconds since 1970."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    no_cache: bool = False


def argv(
    order: Order,
    env: Mapping[str, str],
    *,
    progress: str = "plain",
    secrets: Mapping[str, str] | None = None,
) -> list[str]:
    """The command that builds `order`; no secret is in it.

    `secrets` says where buildx finds each, as `env=NAME` or `src=FILE`. Proxies are named, and
    their values taken from the environment.
    """
    arguments = {"BASE": order.base, "SOURCE_DATE_EPOCH": str(order.epoch)}
    options = [
        ("--platform", PLATFORM),
        ("--file", str(order.context / "Dockerfile")),
        *(("--build-arg", f"{name}={value}") for name, value in arguments.items()),
        *(("--build-arg", name) for name in proxies_in(env)),
        *(("--label", f"{name}={value}") for name, value in sorted(order.labels.items())),
        *(("--secret", f"id={name},{place}") for name, place in (secrets or {}).items()),
        ("--tag", order.name),
        ("--progress", progress),
    ]
    # Attestations would make an index of the image, which holds the time of the build.
    flags = ["--output", _INTO_ENGINE, "--provenance=false", "--sbom=false"]
    flags += ["--no-cache"] if order.no_cache else []
    words = [word for option in options for word in option]
    return ["docker", "buildx", "build", *flags, *words, str(order.context)]


def proxies_in(env: Mapping[str, str]) -> list[str]:
    """The variables of `env` that name proxies, in either case."""
    return [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if env.get(name)]


def lent(env: Mapping[str, str]) -> str:
    """A shell file with the developer's package indexes, for the RUN lines that mount it.

    Also where the developer's certificate authorities are mounted, if there are any.
    """
    values = {name: value for name, value in env.items() if _INDEXES.fullmatch(name)}
    index = values.get("UV_DEFAULT_INDEX") or values.get("UV_INDEX_URL")
    if index:  # uv itself comes by pip
        values.setdefault("PIP_INDEX_URL", index)
    if env.get("SSL_CERT_FILE"):
        values |= {"SSL_CERT_FILE": _CERTIFICATES, "PIP_CERT": _CERTIFICATES}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def require(engine: Engine, env: Mapping[str, str]) -> tuple[int, ...]:
    """The version of buildx. Raises NoBuildx if `engine` cannot be built with."""
    if engine.is_podman:
        raise NoBuildx(
            "podman has no BuildKit, which builds for arm64.",
            "Build without it:  voicecore build --builder direct",
        )
    engine.buildx = engine.buildx or buildx_version(env)
    return engine.buildx


def build(engine: Engine, order: Order, env: Mapping[str, str], tell: Tell) -> None:
    """Build `order`; the engine then has the image by `order.name`.

    Ctrl-C ends the build in the engine too. Raises NoBuildx, BuildFailed, NoWheel or DiskFull.
    """
    progress = "rawjson" if require(engine, env) >= _RAWJSON_SINCE else "plain"
    environment = engine.environment(env)
    secrets: dict[str, str] = {}
    if values := lent(env):
        environment["VOICECORE_BUILD_ENVIRONMENT"] = values
        secrets["environment"] = "env=VOICECORE_BUILD_ENVIRONMENT"
    if certificates := env.get("SSL_CERT_FILE"):
        require_certificates(Path(certificates))
        secrets["certificates"] = f"src={certificates}"
    transcript = Transcript(tell)
    command = argv(order, env, progress=progress, secrets=secrets)
    code = run(command, environment, transcript.line)
    if code == 0:
        return
    if is_disk_full(transcript.words):
        raise engine.disk_full()
    raise failure(transcript, order, shlex.join(argv(order, env)))


def require_certificates(path: Path) -> None:
    """Raise BuildFailed unless `path` can be lent to the build."""
    if not path.is_file() or path.stat().st_size > _SECRET_BYTES_MAX:
        raise BuildFailed(
            f"SSL_CERT_FILE names {path}, which is no file of at most "
            f"{_SECRET_BYTES_MAX // 1000} kB, the most that BuildKit takes.",
            "Name one with the certificates that matter, or:  unset SSL_CERT_FILE",
            ExitCode.USAGE,
        )


def run(command: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]) -> int:
    """Run `command`, its output read line by line; return its exit code.

    Interrupted, it passes the interrupt on and waits until the command has ended.
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
        except BaseException:  # Ctrl-C above all; whatever it is, nothing may go on in the engine
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    # Ctrl-C on a terminal has reached it already; only the third would cut it short.
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@dataclass
class _Step:
    """A step of the build, as BuildKit tells of it (a "vertex")."""

    name: str
    output: deque[str] = field(default_factory=lambda: deque[str](maxlen=_OUTPUT_LINES))
    parts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Bytes done and in all, of each thing that is sent or fetched."""
    over: bool = False

    def progress(self, cached: bool = False) -> Progress:
        done, total = (sum(part[n] for part in self.parts.values()) for n in (0, 1))
        note = "cached" if cached else ""
        return Progress(title(self.name), done, total or None, self.over, note)


class Transcript:
    """What buildx prints, read line by line: rawjson, or plain from buildx before 0.13."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._steps: dict[str, _Step] = {}
        self._document = ""
        self._other: list[str] = []
        self.failed: str | None = None
        """The step that failed, by its key."""
        self.error = ""
        """BuildKit's word for why."""

    @property
    def output(self) -> list[str]:
        """The last lines that the failed step printed."""
        return list(self._steps[self.failed].output) if self.failed else []

    @property
    def place(self) -> str:
        """The line of the Dockerfile that failed, as `Dockerfile:12`; empty if none is named."""
        named = (line for line in self._other if re.fullmatch(r"\S*Dockerfile\S*:\d+", line))
        return next(named, "")

    @property
    def excerpt(self) -> list[str]:
        """The failed instruction's lines of the Dockerfile."""
        marked = (re.fullmatch(r" *\d+ \| >>> (.*)", line) for line in self._other)
        return [found[1] for found in marked if found]

    @property
    def words(self) -> str:
        """All that may say why the build failed."""
        return "\n".join([*self.output, self.error, *self._other])

    def line(self, line: str) -> None:
        """Take one line."""
        if self._document or line.startswith("{"):
            # buildx 0.13 prints indented JSON, newer ones a line each.
            self._document += line
            if line == "}" or (line == self._document and line.endswith("}")):
                document, self._document = json.loads(self._document), ""
                self._take(document)
        elif found := re.fullmatch(r"#(\d+) (.*)", line):
            self._take_plain(found[1], found[2])
        elif line.strip():
            self._other.append(line)

    def _take(self, status: Mapping[str, Any]) -> None:
        for vertex in status.get("vertexes") or ():
            step = self._step(vertex["digest"], vertex["name"])
            if vertex.get("error"):
                self._fail(vertex["digest"], vertex["error"])
            elif vertex.get("completed"):
                self._finish(step, bool(vertex.get("cached")))
            elif vertex.get("started"):
                self._show(step)
        for part in status.get("statuses") or ():
            step = self._step(part["vertex"])
            # "sha256:..." is a layer on its way, "transferring context:" what is sent.
            if part["id"].startswith(("sha256:", "transferring")):
                done = part.get("current", 0)
                step.parts[part["id"]] = (done, part.get("total", 0))
                self._show(step)
        for log in status.get("logs") or ():
            text = base64.b64decode(log["data"]).decode(errors="replace")
            self._step(log["vertex"]).output.extend(text.splitlines())

    def _take_plain(self, key: str, text: str) -> None:
        step = self._step(key, text)
        if text == "CACHED":
            self._finish(step, cached=True)
        elif text.startswith("DONE "):
            self._finish(step, cached=False)
        elif text.startswith("ERROR: "):
            self._fail(key, text.removeprefix("ERROR: "))
        elif found := re.fullmatch(r"\d+\.\d+ (.*)", text):
            step.output.append(found[1])
        elif text == step.name:
            self._show(step)

    def _step(self, key: str, name: str = "") -> _Step:
        return self._steps.setdefault(key, _Step(name))

    def _show(self, step: _Step) -> None:
        if title(step.name) and not step.over:
            self._tell(step.progress())

    def _finish(self, step: _Step, cached: bool) -> None:
        # BuildKit completes a step several times: each look into its cache is one.
        if title(step.name) and not step.over:
            step.over = True
            self._tell(step.progress(cached))

    def _fail(self, key: str, error: str) -> None:
        if self.failed is None:
            self.failed, self.error = key, error


_INTERNAL = {
    "[internal] load build context": "context",
    "exporting to image": "image into the engine",
}


def title(name: str) -> str:
    """A step's name for the screen, without flags and in 60 characters; empty for BuildKit's own.

    `[build 2/6] RUN --mount=... pip install uv` is `build 2/6  RUN pip install uv`.
    """
    found = re.fullmatch(r"\[(?P<step>(?:\S+ +)?\d+/\d+)\] (?P<line>.*)", name)
    if not found:
        return _INTERNAL.get(name, "")
    line = re.sub(r"--[\w-]+=\S+ +", "", found["line"])
    line = re.sub(r"\[ ! -f (\S+) \] \|\| \. \1 +&& ", "", line)
    short = re.sub(r"@sha256:\w+", "", " ".join(line.split()))
    return f"{found['step']}  {short if len(short) <= 60 else short[:59] + '…'}"


def failure(transcript: Transcript, order: Order, command: str) -> VoicecoreError:
    """Why the build failed, and what to type."""
    words = transcript.words
    said = transcript.output or [transcript.error or words.strip()]
    where = transcript.place.replace("Dockerfile:", "Dockerfile, line ") or "docker buildx build"
    shown = "\n".join([*(f"  {line}" for line in transcript.excerpt), *said[-_OUTPUT_LINES:]])
    message = f"{where}:\n{shown}"
    by_hand = f"Try it by hand:  {command}"
    if _finds(words, r"no match for platform|does not match the specified platform"):
        return BaseMissing(
            f"The base image {order.base} is not made for {PLATFORM}.\n{message}",
            "Take one that is:  voicecore upgrade-base "
            "public.ecr.aws/docker/library/python:3.13-slim-trixie",
        )
    if wheelless := _finds(
        words,
        r"[Dd]istribution `([^`]+)` can't be installed because it is marked as `--no-build`",
        r"Because\s+([\w.=-]+)\s+has\s+no\s+(?:usable\s+)?wheels",
    ):
        return NoWheel(
            f"{wheelless} has no wheel for arm64, and nothing runs emulated here.\n{message}",
            "Have it compiled on AWS's arm64 machines:\n"
            "  voicecore build --builder codebuild --push REPOSITORY",
            ExitCode.BAD_PROJECT,
        )
    if _finds(
        words, r"Hash mismatch|[Ll]ockfile at .* needs to be updated|/uv\.lock\"?: not found"
    ):
        return LockMismatch(
            f"agent/uv.lock does not fit.\n{message}",
            f"Make it fit:  uv lock --project {order.context}",
            ExitCode.BAD_PROJECT,
        )
    if _finds(words, _NO_NETWORK):
        return NetworkDown(
            f"The network failed while the image was built.\n{message}",
            "Once it is back:  voicecore build\n"
            "Behind a proxy, set HTTP_PROXY and HTTPS_PROXY to what containers can reach; for "
            "certificates of your own:  export SSL_CERT_FILE=/path/to/ca.pem",
        )
    if "failed to resolve source metadata" in words or "failed to resolve reference" in words:
        public = "public.ecr.aws" in order.base and _finds(words, r"403|[Ff]orbidden|denied")
        return BaseMissing(
            f"The base image {order.base} cannot be had.\n{message}",
            # An old login to public ECR is refused, where none at all would do.
            "An old login stands in the way:  docker logout public.ecr.aws"
            if public
            else f"See whether you can have it:  docker pull --platform {PLATFORM} {order.base}",
        )
    if _finds(words, r"40[13] |Unauthorized|Forbidden"):
        by_hand = (
            "If the package index is yours:  export UV_INDEX_NAME_USERNAME=... "
            "UV_INDEX_NAME_PASSWORD=...  (NAME as in agent/pyproject.toml)\n" + by_hand
        )
    return BuildFailed(message, by_hand)


_NO_NETWORK = (
    r"(?i)no such host|i/o timeout|connection refused|connection reset|TLS handshake timeout"
    r"|network is unreachable|server misbehaving|dns error|error sending request"
    r"|temporary failure in name resolution|NewConnectionError|invalid peer certificate"
    r"|certificate verify failed|certificate signed by unknown authority"
)


def _finds(text: str, *patterns: str) -> str:
    """The first pattern's group, or all it matched; empty if there is no match."""
    for pattern in patterns:
        if found := re.search(pattern, text):
            return found[found.lastindex or 0]
    return ""
