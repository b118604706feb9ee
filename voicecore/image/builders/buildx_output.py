"""Owns reading what `docker buildx build` prints: progress, and the cause of a failure."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.builders.buildx_command import BuildxInputs
from voicecore.image.inputs.lockfile import NoWheel
from voicecore.image.model import PLATFORM

_OUTPUT_LINES = 15


class BuildFailed(VoicecoreError):
    """An instruction of the Dockerfile failed; shows its line, its output and the command."""


class BaseUnavailable(BuildFailed):
    """The base image does not exist, is not for arm64, or needs a login."""


class NetworkDown(BuildFailed):
    """Could not reach the base's registry or a package index."""


class NeedsEmulation(BuildFailed):
    """A line runs a program for arm64, which this machine cannot."""


class LockMismatch(BuildFailed):
    """uv.lock does not match pyproject.toml, or the files of a package index."""


@dataclass
class _Step:
    """A step of the build; BuildKit calls it a vertex."""

    name: str
    output: deque[str] = field(default_factory=lambda: deque[str](maxlen=_OUTPUT_LINES))
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """(bytes done, bytes in all) of each download or upload."""
    finished: bool = False

    def progress(self, cached: bool = False) -> Progress:
        done, total = (sum(part[n] for part in self.transfers.values()) for n in (0, 1))
        note = "cached" if cached else ""
        return Progress(step_title(self.name), done, total or None, self.finished, note)


class BuildTranscript:
    """Reads buildx's output line by line: rawjson, or plain from buildx before 0.13."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._steps: dict[str, _Step] = {}
        self._document = ""
        self._other: list[str] = []
        self.failed: str | None = None
        """Key of the step that failed; None if none has."""
        self.error = ""
        """BuildKit's message about the failure."""

    @property
    def output(self) -> list[str]:
        """Last lines that the failed step printed."""
        return list(self._steps[self.failed].output) if self.failed else []

    @property
    def place(self) -> str:
        """Line of the Dockerfile that failed, as `Dockerfile:12`; empty if none is named."""
        named = (line for line in self._other if re.fullmatch(r"\S*Dockerfile\S*:\d+", line))
        return next(named, "")

    @property
    def excerpt(self) -> list[str]:
        """Lines of the Dockerfile with the failed instruction."""
        marked = (re.fullmatch(r" *\d+ \| >>> (.*)", line) for line in self._other)
        return [found[1] for found in marked if found]

    @property
    def failure_text(self) -> str:
        """All text that may explain the failure."""
        return "\n".join([*self.output, self.error, *self._other])

    def add_line(self, line: str) -> None:
        """Read one line."""
        if self._document or line.startswith("{"):
            # buildx 0.13 indents its JSON; later versions print one document per line.
            self._document += line
            if line == "}" or (line == self._document and line.endswith("}")):
                document, self._document = json.loads(self._document), ""
                self._add_status(document)
        elif found := re.fullmatch(r"#(\d+) (.*)", line):
            self._add_plain(found[1], found[2])
        elif line.strip():
            self._other.append(line)

    def _add_status(self, status: Mapping[str, Any]) -> None:
        for vertex in status.get("vertexes") or ():
            step = self._step(vertex["digest"], vertex["name"])
            if vertex.get("error"):
                self._fail(vertex["digest"], vertex["error"])
            elif vertex.get("completed"):
                self._finish(step, bool(vertex.get("cached")))
            elif vertex.get("started"):
                self._report(step)
        for part in status.get("statuses") or ():
            step = self._step(part["vertex"])
            # "sha256:..." is a layer, "transferring context:" the build context.
            if part["id"].startswith(("sha256:", "transferring")):
                done = part.get("current", 0)
                step.transfers[part["id"]] = (done, part.get("total", 0))
                self._report(step)
        for log in status.get("logs") or ():
            text = base64.b64decode(log["data"]).decode(errors="replace")
            self._step(log["vertex"]).output.extend(text.splitlines())

    def _add_plain(self, key: str, text: str) -> None:
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
            self._report(step)

    def _step(self, key: str, name: str = "") -> _Step:
        return self._steps.setdefault(key, _Step(name))

    def _report(self, step: _Step) -> None:
        if step_title(step.name) and not step.finished:
            self._on_progress(step.progress())

    def _finish(self, step: _Step, cached: bool) -> None:
        # BuildKit completes a step several times, once for each cache lookup.
        if step_title(step.name) and not step.finished:
            step.finished = True
            self._on_progress(step.progress(cached))

    def _fail(self, key: str, error: str) -> None:
        if self.failed is None:
            self.failed, self.error = key, error


_INTERNAL_TITLES = {
    "[internal] load build context": "sending the context",
    "exporting to image": "exporting the image",
}


def step_title(name: str) -> str:
    """Return a step's title of at most 60 characters, without flags; "" for BuildKit's own steps.

    `[build 2/6] RUN --mount=... pip install uv` becomes `build 2/6  RUN pip install uv`.
    """
    found = re.fullmatch(r"\[(?P<step>(?:\S+ +)?\d+/\d+)\] (?P<line>.*)", name)
    if not found:
        return _INTERNAL_TITLES.get(name, "")
    line = re.sub(r"--[\w-]+=\S+ +", "", found["line"])
    line = re.sub(r"\[ ! -f (\S+) \] \|\| \. \1 +&& ", "", line)
    short = re.sub(r"@sha256:\w+", "", " ".join(line.split()))
    return f"{found['step']}  {short if len(short) <= 60 else short[:59] + '…'}"


def build_error(transcript: BuildTranscript, inputs: BuildxInputs, command: str) -> VoicecoreError:
    """Return the error of a failed build: the cause, and what to type. `command` repeats it.

    It is empty if the build cannot be repeated by hand.
    """
    text = transcript.failure_text
    output = transcript.output or [transcript.error or text.strip()]
    where = transcript.place.replace("Dockerfile:", "Dockerfile, line ") or "docker buildx build"
    shown = "\n".join([*(f"  {line}" for line in transcript.excerpt), *output[-_OUTPUT_LINES:]])
    message = f"{where}:\n{shown}"
    known = _platform_error(text, message, inputs) or _input_error(text, message, inputs)
    if known:
        return known
    by_hand = f"Run it yourself to see more:  {command}" if command else ""
    if _find(text, r"40[13] |Unauthorized|Forbidden"):
        by_hand = (
            "If the package index is yours:  export UV_INDEX_NAME_USERNAME=... "
            "UV_INDEX_NAME_PASSWORD=...  (NAME as in agent/pyproject.toml)\n" + by_hand
        )
    return BuildFailed(message, by_hand or None)


def _platform_error(text: str, message: str, inputs: BuildxInputs) -> VoicecoreError | None:
    """Return the error if something is not for arm64."""
    if _find(text, r"no match for platform|does not match the specified platform"):
        return BaseUnavailable(
            f"The base image {inputs.base} does not support {PLATFORM}.\n{message}",
            "Use one that does:  voicecore upgrade-base "
            "public.ecr.aws/docker/library/python:3.13-slim-trixie",
        )
    if package := _find(text, *_NO_WHEEL):
        return NoWheel(
            f"{package} has no wheel for arm64, and builds here do not run emulated.\n{message}",
            "Compile it on AWS's arm64 machines:\n"
            "  voicecore build --builder codebuild --push REPOSITORY",
            ExitCode.BAD_PROJECT,
        )
    if "exec format error" in text:
        return NeedsEmulation(
            f"This machine cannot run programs for arm64, as this line does.\n{message}",
            "Build on AWS's arm64 machines:\n"
            "  voicecore build --builder codebuild --push REPOSITORY\n"
            "or install an emulator, which is slow:\n"
            "  docker run --privileged --rm tonistiigi/binfmt --install arm64",
            ExitCode.MISSING_TOOL,
        )
    return None


def _input_error(text: str, message: str, inputs: BuildxInputs) -> VoicecoreError | None:
    """Return the error if the lockfile, the network or the base is the cause."""
    if _find(text, r"Hash mismatch|[Ll]ockfile at .* needs to be updated|/uv\.lock\"?: not found"):
        part = inputs.context.name if inputs.copied else inputs.context
        return LockMismatch(
            f"agent/uv.lock does not match agent/pyproject.toml or the package index.\n{message}",
            f"Update it:  uv lock --project {part}",
            ExitCode.BAD_PROJECT,
        )
    if _find(text, _NO_NETWORK):
        return NetworkDown(
            f"The network failed during the build.\n{message}",
            "When it is back, run:  voicecore build\n"
            "Behind a proxy, set HTTP_PROXY and HTTPS_PROXY to an address that containers can "
            "reach; for your own certificates:  export SSL_CERT_FILE=/path/to/ca.pem",
        )
    if "failed to resolve source metadata" in text or "failed to resolve reference" in text:
        return BaseUnavailable(
            f"Could not get the base image {inputs.base}.\n{message}",
            _base_hint(inputs.base, text),
        )
    return None


def _base_hint(base: str, text: str) -> str:
    if "public.ecr.aws" in base and _find(text, r"403|[Ff]orbidden|denied"):
        # public.ecr.aws refuses an expired login, although it needs none.
        return "Remove your expired login:  docker logout public.ecr.aws"
    return f"Check that you can pull it:  docker pull --platform {PLATFORM} {base}"


_NO_WHEEL = (
    r"[Dd]istribution `([^`]+)` can't be installed because it is marked as `--no-build`",
    r"Because\s+([\w.=-]+)\s+has\s+no\s+(?:usable\s+)?wheels",
)

_NO_NETWORK = (
    r"(?i)no such host|i/o timeout|connection refused|connection reset|TLS handshake timeout"
    r"|network is unreachable|server misbehaving|dns error|error sending request"
    r"|temporary failure in name resolution|NewConnectionError|invalid peer certificate"
    r"|certificate verify failed|certificate signed by unknown authority"
)


def _find(text: str, *patterns: str) -> str:
    """Return the first match's group, or the whole match; empty if there is none."""
    for pattern in patterns:
        if found := re.search(pattern, text):
            return found[found.lastindex or 0]
    return ""
