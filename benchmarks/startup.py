"""Measures `voicecore --help` and `voicecore init` against SAM and Pipecat."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.processes import Cost, in_turn, peer

PIPECAT_INIT = (
    "init t1 -n t1 -b web -t smallwebrtc -m cascade --stt deepgram_stt "
    "--llm aws_bedrock_llm --tts cartesia_tts --client-framework none"
)


def main() -> None:
    """Print the table for RESULTS.md."""
    here = Path(sys.executable).parent
    sam, pipecat = peer("sam", "aws-sam-cli"), peer("pipecat", "pipecat-ai[cli]")
    helps = in_turn(
        {
            "voicecore --help": [str(here / "voicecore"), "--help"],
            "sam --help": [str(sam / "sam"), "--help"],
            "pipecat --help": [str(pipecat / "pipecat"), "--help"],
        }
    )
    # Each run writes into a fresh folder; the shell creates it, at the same cost for both.
    with tempfile.TemporaryDirectory() as folder:
        fresh = f'd=$(mktemp -d {folder}/XXXX) && cd "$d" && exec '
        scaffolds = in_turn(
            {
                "voicecore init": [
                    "sh", "-c", f"{fresh} {here}/voicecore init t1 --pipeline cascade --yes",
                ],
                "pipecat init": [
                    "sh", "-c", f"{fresh} {pipecat}/pipecat {PIPECAT_INIT}",
                ],
            },
            runs=5,
        )  # fmt: skip
    print("| command | seconds | CPU s | MB | against voicecore |")
    print("|---|---|---|---|---|")
    table(helps)
    table(scaffolds)


def table(costs: dict[str, Cost]) -> None:
    """Print one row per command, with its time as a multiple of the first."""
    first = next(iter(costs.values()))
    for name, cost in costs.items():
        ratio = f"{cost.wall / first.wall:.1f} ×"
        print(f"| `{name}` | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.memory:.0f} | {ratio} |")


if __name__ == "__main__":
    main()
