"""Runs the probes from a command line: asks, observes, cleans up, and writes the report."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.aws.settle import report
from tests.aws.settle.account import Account, Unanswered
from tests.aws.settle.run import Run

MINUTES = 12
"""Time for the probes; deleting takes up to three minutes more."""


def main() -> int:
    """Settle the doubts, and return the exit code."""
    given = _arguments()
    session = boto3.Session(region_name=given.region)
    if not session.region_name:
        print("Name a region:  --region us-east-1", file=sys.stderr)
        return 2
    identity = session.client("sts").get_caller_identity()
    name = f"settle-{uuid.uuid4().hex[:6]}"
    where = f"account {identity['Account']}, region {session.region_name}"
    print(f"{where}: creates 7 runtimes, 2 stacks, 3 roles and an image, all named {name}, for")
    print("at most 15 minutes and 2 dollars, and deletes them.")
    if not given.yes and input("Continue? [y/N] ").strip().lower() != "y":
        return 1
    account = Account(session, name, time.monotonic() + MINUTES * 60)
    _interrupt_once(account)
    rows: list[report.Row] = []
    code = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = Run(account, Path(folder), _say, given.placeholder).rows()
    except KeyboardInterrupt:
        print("Interrupted: cleaning up. Please wait.", flush=True)
        code = 130
    except (Unanswered, BotoCoreError, ClientError) as error:
        print(f"Stopped: {error}", flush=True)
        code = 1
    finally:
        _ignore_signals()
        left = account.clean(_say)
    if rows:
        now = datetime.now(UTC)
        about = f"Observed on {now:%Y-%m-%d} in {session.region_name} by `tests.aws.settle`."
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "settle.md").write_text(report.markdown(rows, about))
        (given.output / "settle.json").write_text(report.document(rows, about))
        print(report.table(rows))
        print(f"written: {given.output / 'settle.md'}, {given.output / 'settle.json'}")
    for each in left:
        print(f"NOT DELETED: {each}", file=sys.stderr)
    return 1 if left else code


def _interrupt_once(account: Account) -> None:
    """Let the first Ctrl-C or SIGTERM stop the probes; no later one disturbs the cleaning."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        _ignore_signals()
        account.stop.set()
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)


def _ignore_signals() -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.aws.settle", description=__doc__)
    parser.add_argument("--region", help="AWS region  [default: that of the environment]")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the report")
    parser.add_argument("--yes", action="store_true", help="skip the confirmation")
    parser.add_argument(
        "--placeholder", action="store_true", help="push no real image: for the stand-in"
    )
    return parser.parse_args()


_printing = threading.Lock()


def _say(text: str) -> None:
    with _printing:
        print(f"• {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
