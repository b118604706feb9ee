"""Owns the rules for calls that must not run while an agent loads for a snapshot.

AgentCore's platform V2 loads an agent once per version, and each session continues a snapshot of it
(Developer Guide, runtime-v2-optimize; agentcore-samples, pull request 2094).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PER_SESSION = (
    "Create it in a function that runs in the session, or in one with @per_session "
    "(agent/internal/session_start.py)."
)


@dataclass(frozen=True)
class SnapshotRule:
    """Calls that a snapshot must not contain the result of."""

    calls: re.Pattern[str]
    """Full names of the called functions and classes."""
    why: str
    instead: str = PER_SESSION
    kept: bool = True
    """True when the result is only a problem if it is kept, as in a variable."""
    whole: bool = False
    """True when it is only a problem as the whole value: `open(path)`, not `open(path).read()`."""


def _calls(*names: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{name})" for name in names))


RULES = (
    SnapshotRule(
        _calls(
            r"boto3\.(client|resource|Session|session\.Session)",
            r"(aioboto3|aiobotocore|botocore)\.(session\.)?(Session|AioSession|get_session)",
        ),
        "Its credentials expire and its connections close while the snapshot exists.",
        kept=False,  # boto3 itself keeps a session
    ),
    SnapshotRule(
        _calls(
            r"aiohttp\.(ClientSession|TCPConnector)",
            r"httpx\.(Async)?Client",
            r"requests\.(Session|session)",
            r"urllib3\.(PoolManager|HTTPS?ConnectionPool)",
            r"(openai|anthropic|groq)\.(Async)?(OpenAI|AzureOpenAI|Anthropic|Groq)",
            r"redis\.(asyncio\.)?(Redis|StrictRedis|from_url)",
            r"(psycopg|psycopg2|pymysql)\.connect",
            r"pymongo\.(Async)?MongoClient",
        ),
        "Its connections are closed when a session continues the snapshot.",
    ),
    SnapshotRule(
        _calls(
            r"random\.(?!SystemRandom$|seed$)\w+",
            r"numpy\.random\.(?!seed$)\w+",
            r"secrets\.(?!SystemRandom$|compare_digest$)\w+",
            r"uuid\.uuid[14678]",
            r"os\.(urandom|getrandom)",
        ),
        "All sessions that continue the snapshot have the same value.",
        "Call it in a function that runs in the session.",
    ),
    SnapshotRule(
        _calls(
            r"time\.(time|monotonic|perf_counter)(_ns)?",
            r"datetime\.(datetime|date)\.(now|utcnow|today)",
        ),
        "It is the time of the snapshot, which may be hours before the session.",
        "Call it in a function that runs in the session.",
    ),
    SnapshotRule(
        _calls(
            r"av\.(audio\.resampler\.)?AudioResampler",
            r"av\.(codec\.(context\.)?)?(Audio)?CodecContext(\.create)?",
            r"soxr\.ResampleStream",
            r"pipecat\.audio\.utils\.create_\w*resampler",
        ),
        "All sessions that continue the snapshot start with its state: they may be silent.",
    ),
    SnapshotRule(
        _calls(
            r"pipecat\.[\w.]*\.\w*"
            r"(Analyzer(V\d)?|Aggregator(Pair)?|Mixer|Pipeline|PipelineWorker|PipelineTask|Processor"
            r"|Resampler|Serializer|Service|Strateg(y|ies)|Transport)",
        ),
        "All sessions that continue the snapshot start with its state, timers and connections.",
        "Create it in pipeline() or listening(), which run for each connection.",
    ),
    SnapshotRule(
        _calls(
            r"socket\.(socket|create_connection|create_server)",
            r"urllib\.request\.urlopen",
            r"open|io\.open|.*\)\.open",
        ),
        "What is open while the snapshot is taken may be closed or moved in a session.",
        whole=True,
    ),
    SnapshotRule(
        _calls(r"threading\.(Thread|Timer)", r"asyncio\.(create_task|ensure_future)"),
        "What it waits for is over, or does not come, when a session continues the snapshot.",
        "Start it in a function that runs in the session.",
        kept=False,
    ),
)

KEY = re.compile(r"(.*_)?(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)")
"""Names of variables that hold secrets."""

KEY_RULE = SnapshotRule(
    _calls(r"os\.getenv", r"os\.environ(\.get)?"),
    "Keys are read from AWS Secrets Manager when a session starts; before, this is a placeholder.",
    "Read it in a function that runs in the session, as pipeline() does.",
)
