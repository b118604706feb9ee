"""The buildx command, and progress and errors read from buildx's output."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.builders.buildx import require_certificates, run, transcribe
from voicecore.image.builders.buildx_command import (
    BuildxInputs,
    build_environment,
    buildx_argv,
    proxies_in,
)
from voicecore.image.builders.buildx_output import (
    BaseUnavailable,
    BuildFailed,
    BuildTranscript,
    LockMismatch,
    NeedsEmulation,
    NetworkDown,
    build_error,
    step_title,
)
from voicecore.image.inputs.lockfile import NoWheel

INPUTS = BuildxInputs(
    context=Path("/home/ada/support-line/agent"),
    name="support-line:0a1b",
    base="public.ecr.aws/docker/library/python:3.13-slim-trixie@sha256:ab",
    epoch=1_700_000_000,
    labels={"io.voicecore.version": "0.3.0", "io.voicecore.fingerprint": "0a1b"},
)


def test_command() -> None:
    command = buildx_argv(INPUTS, {}, progress="rawjson", secrets={"environment": "env=NAME"})
    assert command == [
        *("docker", "buildx", "build"),
        *("--output", "type=docker,compression=gzip,compression-level=3"),
        *("--provenance=false", "--sbom=false"),
        *("--platform", "linux/arm64", "--file", "/home/ada/support-line/agent/Dockerfile"),
        *("--build-arg", f"BASE={INPUTS.base}", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"),
        *("--label", "io.voicecore.fingerprint=0a1b", "--label", "io.voicecore.version=0.3.0"),
        *("--secret", "id=environment,env=NAME", "--tag", "support-line:0a1b"),
        *("--progress", "rawjson", "/home/ada/support-line/agent"),
    ]


def test_command_passes_proxies_by_name() -> None:
    env = {"https_proxy": "http://ada:secret@proxy:3128", "NO_PROXY": "localhost", "FTP_PROXY": ""}
    assert proxies_in(env) == ["https_proxy", "NO_PROXY"]
    command = buildx_argv(INPUTS, env)
    assert command[command.index("https_proxy") - 1] == "--build-arg"
    assert not any("secret" in word for word in command)


def test_build_environment_has_package_indexes() -> None:
    env = {
        "UV_DEFAULT_INDEX": "https://ada:it's@index.example/simple",
        "UV_INDEX_OURS_PASSWORD": "secret",
        "UV_CACHE_DIR": "/home/ada/.cache/uv",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "SSL_CERT_FILE": "/etc/ours.pem",
    }
    shell = ["sh", "-c", f"{build_environment(env)}\nenv -u PATH -u PWD -u _ -u SHLVL"]
    shown = subprocess.run(shell, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert sorted(shown.stdout.split()) == [
        "PIP_CERT=/run/secrets/certificates",
        "PIP_INDEX_URL=https://ada:it's@index.example/simple",
        "SSL_CERT_FILE=/run/secrets/certificates",
        "UV_DEFAULT_INDEX=https://ada:it's@index.example/simple",
        "UV_INDEX_OURS_PASSWORD=secret",
    ]


def test_build_environment_is_empty_without_indexes() -> None:
    assert build_environment({"PATH": "/bin", "UV_CACHE_DIR": "/cache"}) == ""


def test_missing_certificates_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="SSL_CERT_FILE"):
        require_certificates(tmp_path / "gone.pem")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[2/6] RUN --mount=type=cache,target=/x pip install uv", "2/6  RUN pip install uv"),
        (
            "[build 5/7] RUN --mount=type=secret,id=environment     "
            "[ ! -f /run/secrets/environment ] || . /run/secrets/environment  && uv export",
            "build 5/7  RUN uv export",
        ),
        (f"[build 1/6] FROM python@sha256:{'a' * 64}", "build 1/6  FROM python"),
        ("[stage-1 2/4] COPY --from=build /image/opt /opt", "stage-1 2/4  COPY /image/opt /opt"),
        ("[internal] load build context", "sending the context"),
        ("[internal] load .dockerignore", ""),
        ("exporting to image", "exporting the image"),
        ("[auth] library/python:pull token for registry-1.docker.io", ""),
    ],
)  # fmt: skip
def test_step_title(name: str, shown: str) -> None:
    assert step_title(name) == shown


def test_step_title_is_shortened() -> None:
    assert step_title(f"[build 2/6] RUN {'x' * 90}") == f"build 2/6  RUN {'x' * 55}…"


def read_lines(lines: Iterable[str]) -> tuple[BuildTranscript, list[Progress]]:
    steps: list[Progress] = []
    transcript = BuildTranscript(steps.append)
    for line in lines:
        transcript.add_line(line)
    return transcript, steps


RUN = {"digest": "sha256:1", "name": "[build 2/3] RUN make"}
FROM = {"digest": "sha256:0", "name": "[build 1/3] FROM base"}
STATUSES = [
    {"vertexes": [FROM, RUN]},
    {"vertexes": [{**FROM, "started": "12:00"}]},
    {"statuses": [{"id": "sha256:a", "vertex": "sha256:0", "current": 10, "total": 40}]},
    {"statuses": [{"id": "sha256:b", "vertex": "sha256:0", "current": 5, "total": 60}]},
    {"statuses": [{"id": "resolve base", "vertex": "sha256:0", "current": 1, "total": 1}]},
    {"vertexes": [{**FROM, "started": "12:00", "completed": "12:01"}]},
    {"vertexes": [{**FROM, "started": "12:02", "completed": "12:02", "cached": True}]},
    {"vertexes": [{**RUN, "started": "12:03"}]},
]
FAILED = [
    {"logs": [{"vertex": "sha256:1", "data": base64.b64encode(b"one\ntwo\n").decode()}]},
    {"vertexes": [{**RUN, "completed": "12:04", "error": "exit code: 2"}]},
]
# buildx prints the place after both kinds of output.
PLACE = [
    "Dockerfile:3",
    "--------------------",
    "   2 |     # comment",
    "   3 | >>> RUN make && \\",
    "   4 | >>>     make install",
    "--------------------",
    "ERROR: failed to solve: process did not complete successfully: exit code: 2",
]


@pytest.mark.parametrize("indent", [None, 2])  # newer buildx, and 0.13
def test_transcript_reports_steps(indent: int | None) -> None:
    lines = [line for s in STATUSES for line in json.dumps(s, indent=indent).splitlines()]
    _, steps = read_lines(lines)
    assert steps == [
        Progress("build 1/3  FROM base"),
        Progress("build 1/3  FROM base", 10, 40),
        Progress("build 1/3  FROM base", 15, 100),
        Progress("build 1/3  FROM base", 15, 100, finished=True),
        Progress("build 2/3  RUN make"),
    ]


def test_transcript_reads_plain_output_of_old_buildx() -> None:
    lines = [
        "#0 building with default instance using docker driver",
        "#1 [internal] load .dockerignore",
        "#1 DONE 0.0s",
        "#5 [build 1/3] FROM base",
        "#5 CACHED",
        "#7 [build 2/3] RUN make",
        "#7 0.123 one",
        "#7 DONE 1.2s",
    ]
    _, steps = read_lines(lines)
    assert steps == [
        Progress("build 1/3  FROM base"),
        Progress("build 1/3  FROM base", finished=True, note="cached"),
        Progress("build 2/3  RUN make"),
        Progress("build 2/3  RUN make", finished=True),
    ]


RAW = [json.dumps(status) for status in [*STATUSES, *FAILED]]
PLAIN = ["#7 [build 2/3] RUN make", "#7 0.121 one", "#7 0.122 two", "#7 ERROR: exit code: 2"]


@pytest.mark.parametrize("printed", [RAW, PLAIN], ids=["rawjson", "plain"])
def test_failed_step_shows_line_output_and_command(printed: list[str]) -> None:
    transcript, _ = read_lines([*printed, *PLACE])
    error = build_error(transcript, INPUTS, "docker buildx build ...")
    assert type(error) is BuildFailed
    assert error.message == (
        "Dockerfile, line 3:\n  RUN make && \\\n      make install\none\ntwo"
    )  # fmt: skip
    assert error.hint == "Run it yourself to see more:  docker buildx build ..."


def test_transcript_keeps_end_of_output() -> None:
    transcript, _ = read_lines(
        [*PLAIN[:1], *(f"#7 0.1 line {n}" for n in range(40)), PLAIN[-1], *PLACE]
    )
    assert transcript.output == [f"line {n}" for n in range(25, 40)]


UV_NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can conclude \
that your requirements are unsatisfiable.
hint: Wheels are required for `docopt` because building from source is disabled for all packages"""
UV_HASH = """error: Failed to download `six==1.17.0`
  cause: Hash mismatch for `six==1.17.0`"""
UV_NETWORK = """error: Request failed after 3 retries in 10.6s
  cause: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: tcp connect error
  cause: Connection refused (os error 111)"""
UV_FORBIDDEN = "  cause: HTTP status client error (401 Unauthorized) for url (https://index/six/)"
NO_HOST = (
    "ERROR: failed to solve: base: failed to resolve source metadata for base: failed to do "
    "request: Head https://registry/v2/base/manifests/1: dial tcp: lookup registry: no such host"
)
NO_BASE = (
    "ERROR: failed to solve: base: failed to resolve source metadata for base: "
    "127.0.0.1:5000/base:1: not found"
)
NO_ARM = "ERROR: failed to solve: base: no match for platform in manifest: not found"
OLD_LOGIN = (
    "ERROR: failed to solve: base: failed to resolve source metadata for base: unexpected status "
    "from HEAD request to https://public.ecr.aws/v2/x: 403 Forbidden"
)
NO_LOCK = (
    "ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref "
    '50c7::znew: "/uv.lock": not found'
)

NO_EMULATOR = "exec /bin/sh: exec format error"


@pytest.mark.parametrize(
    ("printed", "kind", "message", "command"),
    [
        (UV_NO_WHEEL, NoWheel, "docopt==0.6.2 has no wheel for arm64", "--builder codebuild"),
        (UV_HASH, LockMismatch, "Hash mismatch for `six==1.17.0`", "uv lock --project"),
        (UV_NETWORK, NetworkDown, "Connection refused", "HTTPS_PROXY"),
        (UV_FORBIDDEN, BuildFailed, "401 Unauthorized", "UV_INDEX_NAME_PASSWORD"),
        (NO_HOST, NetworkDown, "no such host", "voicecore build"),
        (
            NO_BASE,
            BaseUnavailable,
            "Could not get the base image",
            "docker pull --platform linux/arm64",
        ),
        (NO_ARM, BaseUnavailable, "does not support linux/arm64", "voicecore upgrade-base"),
        (
            OLD_LOGIN,
            BaseUnavailable,
            "Could not get the base image",
            "docker logout public.ecr.aws",
        ),
        (NO_LOCK, LockMismatch, "uv.lock", "uv lock --project"),
        (NO_EMULATOR, NeedsEmulation, "cannot run programs for arm64", "--builder codebuild"),
    ],
)
def test_build_error_names_cause_and_hint(
    printed: str, kind: type[VoicecoreError], message: str, command: str
) -> None:
    transcript, _ = read_lines(printed.splitlines())
    error = build_error(transcript, INPUTS, "docker buildx build ...")
    assert type(error) is kind
    assert message in error.message
    assert command in str(error.hint)


def test_missing_wheel_is_project_error() -> None:
    transcript, _ = read_lines(UV_NO_WHEEL.splitlines())
    assert build_error(transcript, INPUTS, "").exit_code == ExitCode.BAD_PROJECT


def test_copied_context_is_not_named_after_the_build() -> None:
    transcript, _ = read_lines(UV_HASH.splitlines())
    copied = replace(INPUTS, context=Path("/tmp/voicecore-x/agent"), copied=True)
    assert "uv lock --project agent" in str(build_error(transcript, copied, "").hint)
    transcript, _ = read_lines(["ERROR: failed to solve: it broke"])
    assert build_error(transcript, copied, "").hint is None


SLOW_PROGRAM = """
import pathlib, sys, time
try:
    print("started", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1]).touch()
"""


def test_ctrl_c_ends_command_and_waits_for_it(tmp_path: Path) -> None:
    marker = tmp_path / "ended"

    def interrupt(line: str) -> None:
        assert line == "started"
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", SLOW_PROGRAM, str(marker)], dict(os.environ), interrupt)
    assert marker.exists()


def test_run_returns_exit_code() -> None:
    assert run(["sh", "-c", "exit 3"], dict(os.environ), lambda _: None) == 3


# Fails as docker does while config.json names a helper, and shows what it is given.
DOCKER = """#!/bin/sh
if grep -q creds "$DOCKER_CONFIG/config.json"; then
  echo 'ERROR: failed to solve: error getting credentials - err: exec: "docker-credential-desktop"'
  exit 1
fi
echo "now $(cat "$DOCKER_CONFIG/config.json" "$DOCKER_CONFIG/cli-plugins/docker-buildx")"
exit 3
"""


def test_build_without_credential_helper_keeps_other_settings(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    config = tmp_path / "config"
    (config / "cli-plugins").mkdir(parents=True)
    (config / "cli-plugins/docker-buildx").write_text("the plugin\n")
    settings = {"credsStore": "desktop", "credHelpers": {"ghcr.io": "gone"}, "auths": {"a.b": {}}}
    (config / "config.json").write_text(json.dumps(settings))
    steps: list[Progress] = []
    env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(config)}
    code, transcript = transcribe([str(tmp_path / "docker")], env, steps.append)
    assert code == 3
    assert steps[0].task == "Docker's credential helper failed; pulling without a login"
    assert transcript.failure_text.strip() == 'now {"auths": {"a.b": {}}}the plugin'
    assert json.loads((config / "config.json").read_text()) == settings
