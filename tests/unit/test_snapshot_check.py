"""`voicecore build` reads bot.py for what a snapshot of platform V2 must not contain."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.output import Output
from voicecore.project.snapshot_check import CannotRead, check_snapshot, warn_of_captures


def found(agent: Path, bot: str, **modules: str) -> list[str]:
    """Return the findings in bot.py and other modules, as FILE:LINE WHAT."""
    for name, source in {"bot": bot, **modules}.items():
        (agent / f"{name}.py").write_text(source, "utf-8")
    return [f"{f.file.removeprefix('agent/')}:{f.line} {f.what}" for f in check_snapshot(agent)]


CAPTURES = {
    "import boto3\ns3 = boto3.client('s3')": "bot.py:2 boto3.client",
    "from boto3 import Session as S\nS()": "bot.py:2 boto3.Session",
    "import boto3\ndef get(s3=boto3.client('s3')): ...": "bot.py:2 boto3.client",
    "import boto3\nclass Orders:\n    table = boto3.resource('dynamodb').Table('orders')": (
        "bot.py:3 boto3.resource"
    ),
    "import boto3\ndef new():\n    made = boto3.client('s3')\n    return made\ns3 = new()": (
        "bot.py:5 boto3.client, through new(),"
    ),
    "import aiohttp\nif True:\n    http = aiohttp.ClientSession()": (
        "bot.py:3 aiohttp.ClientSession"
    ),
    "import httpx\nhttp = httpx.AsyncClient()": "bot.py:2 httpx.AsyncClient",
    "import os\nKEY = os.environ['DEEPGRAM_API_KEY']": ("bot.py:2 os.environ, DEEPGRAM_API_KEY,"),
    "from os import environ\nT = environ.get('TOKEN', '')": "bot.py:2 os.environ.get, TOKEN,",
    "import os\nS = os.getenv('DB_PASSWORD')": "bot.py:2 os.getenv, DB_PASSWORD,",
    "import random\nwords = [random.choice('ab') for _ in range(3)]": "bot.py:2 random.choice",
    "import numpy as np\nrng = np.random.default_rng()": "bot.py:2 numpy.random.default_rng",
    "import uuid\nID = str(uuid.uuid4())": "bot.py:2 uuid.uuid4",
    "import secrets\nID = secrets.token_hex()": "bot.py:2 secrets.token_hex",
    "import time\nSTART = time.monotonic()": "bot.py:2 time.monotonic",
    "from datetime import datetime, UTC\nSTART = datetime.now(UTC)": (
        "bot.py:2 datetime.datetime.now"
    ),
    "import datetime as dt\nif (day := dt.date.today()): pass": "bot.py:2 datetime.date.today",
    "import av\nup = av.AudioResampler('s16')": "bot.py:2 av.AudioResampler",
    "from pipecat.audio.vad.silero import SileroVADAnalyzer\nVAD = SileroVADAnalyzer()": (
        "bot.py:2 pipecat.audio.vad.silero.SileroVADAnalyzer"
    ),
    "from pipecat.services.deepgram.stt import DeepgramSTTService\n"
    "stt = DeepgramSTTService(api_key='')": (
        "bot.py:2 pipecat.services.deepgram.stt.DeepgramSTTService"
    ),
    "import socket\ns = socket.socket()": "bot.py:2 socket.socket",
    "log = open('log', 'w')": "bot.py:1 open",
    "from pathlib import Path\nlog = Path('a.log').open('w')": "bot.py:2 Path('a.log').open",
    "import threading\nthreading.Thread(target=print).start()": "bot.py:2 threading.Thread",
}


@pytest.mark.parametrize("bot", CAPTURES)
def test_names_what_is_captured(tmp_path: Path, bot: str) -> None:
    assert found(tmp_path, bot) == [CAPTURES[bot]]


@pytest.mark.parametrize(
    "bot",
    [
        "import boto3\ndef table():\n    return boto3.client('s3')",
        "import boto3\nnew = lambda: boto3.client('s3')",
        "import boto3\nasync def new():\n    return boto3.client('s3')\nready = new()",
        "import time\nbegan = 0\nprint(time.time())",
        "import random\nrandom.seed(1)",
        "import os\nTOKENS = os.environ.get('MAX_TOKENS')\nVOICE = os.environ['VOICE']",
        "import os\nif not os.environ.get('API_KEY'):\n    raise SystemExit('API_KEY is missing')",
        "MENU = open('menu.txt').read()",
        "with open('menu.txt') as file:\n    MENU = file.read()",
        "from datetime import datetime\nOPENED = datetime(2020, 1, 1)",
        "import uuid\nID = uuid.UUID('12345678123456781234567812345678')",
        "import boto3\nif __name__ == '__main__':\n    s3 = boto3.client('s3')",
        "import httpx  # an import is nothing to keep\nTIMEOUT = httpx.Timeout(5)",
        "from dataclasses import dataclass, field\nimport time\n@dataclass\nclass Turn:\n"
        "    began: float = field(default_factory=time.monotonic)",
        "from pipecat.services.aws.tts import AWSPollyTTSService\n"
        "VOICE = AWSPollyTTSService.Settings(voice='Joanna')",
        "import uuid\nRUN = uuid.uuid4()  # snapshot: ok - the id of the version, not of a session",
    ],
)
def test_accepts_what_a_session_creates_itself(tmp_path: Path, bot: str) -> None:
    assert found(tmp_path, bot) == []


def test_comment_without_a_reason_silences_nothing(tmp_path: Path) -> None:
    bot = "import uuid\nRUN = uuid.uuid4()  # snapshot: ok"
    assert found(tmp_path, bot) == ["bot.py:2 uuid.uuid4"]


def test_reads_the_modules_that_are_imported_on_load(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/__init__.py").write_text("from . import orders\n")
    (tmp_path / "tools/orders.py").write_text("import boto3\ntable = boto3.client('s3')\n")
    bot = (
        "from tools import orders\nfrom make import new\nnew = new()\ndef late():\n    import rare"
    )
    make = "import boto3\ndef new():\n    return boto3.client('s3')"
    assert found(tmp_path, bot, make=make, rare="import uuid\nID = uuid.uuid4()") == [
        "bot.py:3 boto3.client, through new(),",
        "tools/orders.py:2 boto3.client",
    ]


def test_code_that_is_not_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"agent/bot\.py: line 1"):
        found(tmp_path, "def")


def test_command_exits_with_its_findings(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    project = tmp_path / "mine"
    assert voicecore("build", "--check-code", cwd=project).code == 0
    with (project / "agent/bot.py").open("a") as bot:
        bot.write("import uuid\nRUN = uuid.uuid4()\n")
    named = "uuid.uuid4 at module level"
    done = voicecore("build", "--check-code", cwd=project)
    assert (done.code, named in done.stderr) == (3, True)
    done = voicecore("build", "--check-code", "--json", cwd=project)
    [finding] = json.loads(done.stdout)["findings"]
    assert (done.code, finding["file"], finding["what"]) == (3, "agent/bot.py", "uuid.uuid4")
    settings = re.sub(r"(?m)^platform.*$", "", (project / "voicecore.toml").read_text())
    (project / "voicecore.toml").write_text(f'platform = "v2"\n{settings}')
    done = voicecore("build", "--check", cwd=project)  # before it looks for Docker
    assert (done.code, named in done.stderr) == (3, True)
    done = voicecore("deploy", "--profile", "no-such-profile", cwd=project)
    assert (done.code != 3, named in done.stderr) == (True, True)  # a warning


@pytest.mark.parametrize(("platforms", "warns"), [(["v1", "v2"], True), (["v1"], False)])
def test_warns_only_for_v2(tmp_path: Path, platforms: list[str], warns: bool) -> None:
    found(tmp_path, "import uuid\nID = uuid.uuid4()")
    stderr = io.StringIO()
    warn_of_captures(Output(io.StringIO(), stderr), tmp_path, platforms)
    assert ("agent/bot.py:2: uuid.uuid4 at module level" in stderr.getvalue()) is warns
