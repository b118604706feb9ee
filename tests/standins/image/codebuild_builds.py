"""Owns the builds of the stand-in of CodeBuild: script, machine, phases and answer."""

from __future__ import annotations

import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PHASES = (
    "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD",
    "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
)  # fmt: skip


@dataclass(frozen=True)
class BuildScript:
    """Course of a build: success, unless the script makes it fail or stay in a phase."""

    fails_in: str = ""
    status: str = "FAILED"
    says: str = ""
    """Message of the failed phase."""
    log: Sequence[str] = ()
    """Lines that are in the log when the phase BUILD begins."""
    stays_in: str = ""
    pushes: Callable[[str], object] | None = None
    """Called with the image's tag after a successful phase BUILD."""


@dataclass(frozen=True)
class BuildMachine:
    """A machine that runs the commands of builds."""

    argv: Callable[..., list[str]]
    """Turns a command into one that reaches the stand-ins by AWS's host names."""
    env: Mapping[str, str]


@dataclass
class Build:
    """One build, as BatchGetBuilds reports it."""

    request: dict[str, Any]
    project: dict[str, Any]
    script: BuildScript
    id: str
    phases: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    status: str = "IN_PROGRESS"
    stopped: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[str] | None = None

    @property
    def stream(self) -> str:
        return self.id.partition(":")[2]

    def begin(self, phase: str) -> None:
        self.phases.append({"phaseType": phase, "startTime": time.time()})

    def end(self, status: str = "SUCCEEDED", says: str = "") -> None:
        contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": says}] if says else []
        now = time.time()
        self.phases[-1] |= {
            "phaseStatus": status,
            "endTime": now,
            "durationInSeconds": int(now - self.phases[-1]["startTime"]),
            "contexts": contexts,
        }

    def shown(self, region: str, account: str) -> dict[str, Any]:
        group = self.project["logsConfig"]["cloudWatchLogs"]["groupName"]
        begun = any(phase["phaseType"] == "PROVISIONING" for phase in self.phases)
        logs = {"groupName": group, "streamName": self.stream} if begun else {}
        over = self.status != "IN_PROGRESS"
        return {
            "id": self.id,
            "arn": f"arn:aws:codebuild:{region}:{account}:build/{self.id}",
            "buildNumber": 1,
            "startTime": self.phases[0]["startTime"],
            **({"endTime": time.time()} if over else {}),
            "currentPhase": self.phases[-1]["phaseType"],
            "buildStatus": self.status,
            "projectName": self.project["name"],
            "phases": self.phases,
            "source": {**self.project["source"], **_source(self.request)},
            "artifacts": {"location": ""},
            "cache": {"type": "NO_CACHE"},
            "environment": self.project["environment"],
            "serviceRole": self.project["serviceRole"],
            "logs": logs,
            "timeoutInMinutes": self.project["timeoutInMinutes"],
            "queuedTimeoutInMinutes": self.project["queuedTimeoutInMinutes"],
            "buildComplete": over,
            "initiator": "tester",
        }


def _source(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "location": request["sourceLocationOverride"],
        "buildspec": request["buildspecOverride"],
    }


def unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """Unpack with the mode of each file, as unzip does."""
    archive.extractall(folder)
    for entry in archive.infolist():
        if mode := entry.external_attr >> 16 & 0o777:
            (folder / entry.filename).chmod(mode)
