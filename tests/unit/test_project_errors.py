"""Invalid settings are refused: each with its line, and all at once."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.project_files import GOOD, written
from tests.unit.test_project import CERTIFICATE
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import Transport
from voicecore.console.errors import ExitCode
from voicecore.project.project import (
    BadProject,
    Stage,
    load_project,
)
from voicecore.project.schema import invalid_settings
from voicecore.project.settings.network import invalid_network, network_for


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ({"domain": "phone.example.com"}, "server.domain needs certificate"),
        ({"certificate": CERTIFICATE}, "server.certificate needs domain"),
        ({"domain": "https://a.example", "certificate": CERTIFICATE}, "server.domain 'https:"),
        ({"domain": "a.example", "certificate": "arn:aws:iam::1:x"}, "server.certificate 'arn"),
        ({"peak_calls": 0}, "server.peak_calls must be a whole number from 1"),
        ({"drain_minutes": 61}, "server.drain_minutes must be a whole number from 0 to 60"),
        ({"concurrency": 901}, "server.concurrency must be a whole number from 1 to 900"),
        ({"domian": "a.example"}, "server.domian is not a known setting; did you mean 'domain'"),
        ("phone.example.com", "server must be a table"),
    ],
)  # fmt: skip
def test_rejects_invalid_server_settings(server: object, message: str) -> None:
    answers = {"name": "x1", "transports": ["websocket"], "pipeline": "offline",
               "region": "us-east-1"}  # fmt: skip
    own = [f"{m.key} {m.message}" for m in invalid_settings(answers | {"server": server})]
    assert len(own) == 1 and own[0].startswith(message)
    of_stage = invalid_settings(answers | {"stages": {"prod": {"server": server}}})
    assert [m.key for m in of_stage] == [f"stages.prod.{own[0].split()[0]}"]


def test_rejects_unlisted_stage(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, f"{GOOD}[stages.prod]\n"))
    assert project.stage("prod") == Stage("prod", "us-east-1")
    with pytest.raises(BadProject, match="no stage 'prd'; did you mean 'prod'") as raised:
        project.stage("prd")
    assert "[stages.prd]" in (raised.value.hint or "")


def test_rejects_network_that_cannot_carry_transport() -> None:
    webrtc = Transport(
        "webrtc", "", "", "", "", "", (), "webrtc", not_public="AgentCore blocks UDP there"
    )
    assert network_for([TRANSPORTS["websocket"]], {}) == "public"
    assert network_for([TRANSPORTS["websocket"], webrtc], {}) == "vpc"
    assert network_for([TRANSPORTS["webrtc"]], {}) == "vpc"
    assert not list(invalid_network({"network": "public"}, [TRANSPORTS["webrtc"]]))  # by TLS
    assert not list(invalid_network({"network": "vpc"}, [webrtc]))
    (invalid,) = invalid_network({"network": "public"}, [webrtc])
    assert invalid.key == "network"
    assert invalid.message == "'public' cannot carry 'webrtc': AgentCore blocks UDP there"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, ""),
        ({"pipeline": "cascade"}, ""),
        ({"pipeline": "cascade", "services": {"stt": "deepgram", "tts": "cartesia"}},
         "vpc.endpoints leaves no way to the internet, which the agent needs for Deepgram, Carte"),
        ({"transports": ["websocket", "webrtc"]}, "needs for a TURN relay;"),
        ({"transports": ["daily"]}, "needs for Daily's servers;"),
        ({"transports": ["telephony"], "telephony": {"providers": ["twilio"]}},
         "needs for the phone provider;"),
        ({"vpc": {"endpoints": "yes"}}, "vpc.endpoints must be true or false"),
        ({"vpc": {"endpoints": True, "ha": True}}, "vpc.ha adds a NAT gateway"),
        ({"vpc": {"endpoints": True, "subnets": ["subnet-0123456789abcdef0"],
                  "security_groups": ["sg-0123456789abcdef0"]}},
         "vpc.endpoints applies only to a network that voicecore creates"),
        ({"network": "public"}, 'vpc is used only with network = "vpc"'),
    ],
)  # fmt: skip
def test_rejects_endpoints_for_what_none_leads_to(answers: dict[str, Any], message: str) -> None:
    good = {"name": "x1", "transports": ["websocket"], "pipeline": "nova-sonic",
            "region": "us-east-1", "vpc": {"endpoints": True}}  # fmt: skip
    found = [f"{m.key} {m.message}" for m in invalid_settings(good | answers)]
    assert len(found) == bool(message), found
    assert message in "".join(found)


def test_rejects_kvs_where_region_has_none(tmp_path: Path) -> None:
    text = GOOD.replace("websocket", "webrtc").replace("us-east-1", "us-west-1")
    text = text.replace("cascade", "offline").split("[services]")[0]
    with pytest.raises(BadProject, match=r"no TURN servers from Kinesis .* another source"):
        load_project(written(tmp_path, text))
    other = load_project(written(tmp_path, f'{text}[turn]\nsource = "static"\n'))
    assert other.turn.source == "static"


def test_reports_invalid_settings_with_lines(tmp_path: Path) -> None:
    text = GOOD.replace(
        "[services]",
        """\
account = 123456789012
network = "privat"

[vpc]
subnets = ["subnet-1", "vpc-0123456789abcdef0"]
ha = true
zones = 2

[turn]
source = "kvz"
peak_calls = 0

[ stages . "prod" ]
region = "eu-wst-1"
idle_timeout = 7200
max_lifetime = 3600
log_retention_days = 31
memory = 2

[stages.network]

[services]""",
    )
    with pytest.raises(BadProject) as raised:
        load_project(written(tmp_path, text))
    assert raised.value.message.splitlines()[1:] == [
        '  line 7   account: must be 12 digits in quotes, such as "123456789012"',
        "  line 8   network: 'privat' is unknown; choose from vpc, public",
        "  line 13  vpc.zones: is not a known setting; choose from subnets, security_groups, "
        "ha, endpoints",
        "  line 11  vpc.subnets: 'subnet-1' is not an ID such as 'subnet-0123456789abcdef0'",
        "  line 11  vpc.subnets: 'vpc-0123456789abcdef0' is not an ID such as "
        "'subnet-0123456789abcdef0'",
        "  line 11  vpc.subnets: needs security_groups too, in the same VPC",
        "  line 12  vpc.ha: applies only to a network that voicecore creates, "
        "not to your own subnets",
        "  line 16  turn.source: 'kvz' is unknown; did you mean 'kvs'?",
        "  line 17  turn.peak_calls: must be a whole number from 1 to 2500",
        "  line 24  stages.prod.memory: is not a known setting; choose from region, account, "
        "platform, idle_timeout, max_lifetime, log_retention_days, server, role, "
        "permissions_boundary, role_path, service_role, kms_key, repository, tags",
        "  line 20  stages.prod.region: 'eu-wst-1' is not a region of AgentCore Runtime; "
        "did you mean 'eu-west-1'?",
        "  line 21  stages.prod.idle_timeout: is longer than max_lifetime",
        "  line 23  stages.prod.log_retention_days: 31 is not a retention period of CloudWatch "
        "Logs; choose from 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, "
        "400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653",
        "  line 26  stages.network: 'network' is not valid: voicecore uses that name itself; "
        "choose another",
    ]


def test_reports_all_invalid_answers_with_lines(tmp_path: Path) -> None:
    text = """\
name = "Support Line"
transports = ["websockets"]
pipline = "offline"
pipeline = "cascade"
region = "us-est-1"

[services]
stt = "deepgrm"
vad = "silero"
"""
    with pytest.raises(BadProject) as raised:
        load_project(written(tmp_path, text))
    assert raised.value.exit_code == ExitCode.BAD_PROJECT
    assert raised.value.message.splitlines() == [
        f"{tmp_path}/voicecore.toml has 6 errors:",
        "  line 3   pipline: is not a known setting; did you mean 'pipeline'?",
        "  line 1   name: 'Support Line' is not valid: it must be 2 or more of a-z, "
        "0-9 and single hyphens, starting with a letter",
        "  line 2   transports: 'websockets' is unknown; did you mean 'websocket'?",
        "  line 8   stt: 'deepgrm' is unknown; did you mean 'deepgram'?",
        "  line 9   vad: pipeline 'cascade' has no such choice (its choices: stt, llm, tts)",
        "  line 5   region: 'us-est-1' is not a region of AgentCore Runtime; "
        "did you mean 'us-east-1'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not valid TOML: Invalid value (at end of document)"),
        ("", "has 4 errors"),
        (GOOD.replace('"support-line"', "7"), "name: must be a string"),
        (GOOD.replace('["websocket"]', '"websocket"'), "transports: must be a list"),
        (GOOD.replace('["websocket"]', '["websocket", "websocket"]'), "lists a transport twice"),
        (GOOD.replace('"cascade"', '["cascade"]'), "pipeline: ['cascade'] is unknown"),
        (GOOD.replace('"us-east-1"', '"eu-north-1"').replace("deepgram", "transcribe"),
         "'eu-north-1' lacks Amazon Transcribe; choose from us-east-1"),
        (GOOD + "llm = 7\n", "llm: 7 is unknown; choose from nova"),
        (GOOD.replace('["websocket"]', '["telephony"]'), "telephony: is missing: [telephony]"),
        (GOOD + '[telephony]\nproviders = ["twilio"]\n', 'only with the transport "telephony"'),
        (GOOD.replace('["websocket"]', '["telephony"]') + '[telephony]\nproviders = []\n',
         "telephony.providers: must be a list with at least one name"),
        (GOOD.replace('["websocket"]', '["telephony"]') + '[telephony]\nproviders = ["vonnage"]\n',
         "did you mean 'vonage'?"),
        (GOOD + "[stages]\nprod = 1\n", "line 10  stages.prod: must be a table: [stages.prod]"),
        (GOOD + "[stages.pre-prod]\n", "stages.pre-prod: 'pre-prod' is not valid: it must be a-z"),
        (GOOD + "[stages.production]\n", "it has 10 characters; AWS names leave room for 8"),
        (GOOD + "[stages.prod]\nidle_timeout = true\n", "a whole number from 60 to 28800 s"),
        (GOOD + "[stages.prod]\nmax_lifetime = 59\n", "a whole number from 60 to 28800 s"),
        (GOOD + '[stages.prod]\nregion = "eu-south-1"\n[turn]\nx = 1\n', "2 errors"),
        (GOOD + '[stages.prod]\nplatform = "v3"\n',
         "line 10  stages.prod.platform: 'v3' is unknown; choose from v1, v2"),
        (GOOD + '[stages.prod]\naccount = "1"\n', "line 10  stages.prod.account: must be 12"),
        (GOOD.replace("[services]", "stages = 1\nvpc = 2\nturn = 3\n[services]"), "3 errors"),
        (GOOD + "[vpc]\nsubnets = []\n", "vpc.subnets: must be a list of 1 to 16 IDs"),
        (GOOD + '[vpc]\nsecurity_groups = ["sg-12345678"]\n', "needs subnets too"),
        (GOOD + '[vpc]\nha = "yes"\n', "vpc.ha: must be true or false"),
        (GOOD.replace("[services]", 'network = "public"\n[vpc]\nha = true\n[services]'),
         'vpc: is used only with network = "vpc"'),
        (GOOD.replace("[services]", 'vpc.hx = true\n[services]'),
         "line 7   vpc.hx: is not a known setting"),
    ],
)  # fmt: skip
def test_rejects_project(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadProject, match=None) as raised:
        load_project(written(tmp_path, text))
    assert message in raised.value.message


@pytest.mark.parametrize(("count", "valid"), [(16, True), (17, False)])
def test_agentcore_takes_16_subnets(count: int, valid: bool) -> None:
    answers: dict[str, object] = {
        "name": "x1", "transports": ["websocket"], "pipeline": "offline", "region": "us-east-1"
    }  # fmt: skip
    answers["vpc"] = {
        "subnets": [f"subnet-0123456789abcde{n:02}" for n in range(count)],
        "security_groups": ["sg-0123456789abcdef0"],
    }
    invalid = [f"{each.key} {each.message}" for each in invalid_settings(answers)]
    assert invalid == ([] if valid else ["vpc.subnets must be a list of 1 to 16 IDs"])


def test_idle_timeout_may_equal_the_lifetime(tmp_path: Path) -> None:
    equal = "[stages.prod]\nidle_timeout = 600\nmax_lifetime = 600\n"
    stage = load_project(written(tmp_path, GOOD + equal)).stage("prod")
    assert (stage.idle_timeout, stage.max_lifetime) == (600, 600)


def test_rejects_what_no_agent_reports(tmp_path: Path) -> None:
    table = '[observability]\ntraces = "yes"\nmetrics = true\n'
    with pytest.raises(BadProject) as raised:
        load_project(written(tmp_path, GOOD + table))
    assert "observability.traces: must be true or false" in raised.value.message
    assert "observability.metrics" in raised.value.message
    on = load_project(written(tmp_path, GOOD + "[observability]\ntraces = true\n"))
    assert on.observability.traces


def test_folder_without_project_names_init(tmp_path: Path) -> None:
    with pytest.raises(BadProject) as raised:
        load_project(tmp_path)
    assert "voicecore init" in (raised.value.hint or "")


ODD = [True, 0, -1, 30.0, "", "x", [], [1], ["x", "x"], {}, {"x": 1}, [{}]]
KEYS = [
    "name", "transports", "pipeline", "region", "services", "services.stt", "account", "network",
    "id", "vpc", "vpc.subnets", "vpc.security_groups", "vpc.ha", "turn", "turn.source",
    "turn.peak_calls", "stages", "stages.prod", "stages.prod.region", "stages.prod.account",
    "stages.prod.idle_timeout", "stages.prod.max_lifetime", "stages.prod.log_retention_days",
    "platform", "stages.prod.platform", "observability", "observability.traces",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_every_value_is_read_or_rejected_at_its_key(key: str, value: object) -> None:
    answers: dict = {
        "name": "a-b", "transports": ["websocket"], "pipeline": "cascade", "region": "us-east-1",
    }  # fmt: skip
    *tables, last = key.split(".")
    table = answers
    for name in tables:
        table = table.setdefault(name, {})
    table[last] = value
    invalid = list(invalid_settings(answers))
    empty = ("services", "vpc", "turn", "observability", "stages", "prod")
    harmless = value == {} and last in empty
    harmless |= key in ("vpc.ha", "observability.traces") and value is True
    assert bool(invalid) != harmless
    here = (tables or [key])[0]
    assert all(m.key.startswith(here) or m.key in (last, "x") for m in invalid)
