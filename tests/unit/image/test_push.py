"""A push by the engine: its events, the words it has for failures, and when it is begun again."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.docker.engine import Engine
from voicecore.image.docker.push import EngineDiskFull, auth_config, follow, push, push_error
from voicecore.image.model import Image, Layer
from voicecore.image.registry.credentials import Login
from voicecore.image.registry.errors import (
    NotLoggedIn,
    RegistryDenied,
    RegistryUnreachable,
    RepositoryMissing,
    TagTaken,
)
from voicecore.image.registry.reference import parse_reference

ECR = parse_reference("123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/ada:0a1b")
DIGEST = f"sha256:{'d' * 64}"
IMAGE = Image("0a1b", "", {}, (Layer("packages", "sha256:0", 5),), ())

PREPARING = {"status": "Preparing", "progressDetail": {}, "id": "aaaaaaaaaaaa"}
PUSHED: list[Mapping[str, Any]] = [
    {"status": "The push refers to repository [x]"},
    PREPARING,
    {"status": "Layer already exists", "progressDetail": {}, "id": "bbbbbbbbbbbb"},
    {"status": "Mounted from base", "progressDetail": {}, "id": "cccccccccccc"},
    {"status": "Pushing", "progressDetail": {"current": 50, "total": 100}, "id": "aaaaaaaaaaaa"},
    {"status": "Pushing", "progressDetail": {"current": 1536, "total": 100}, "id": "aaaaaaaaaaaa"},
    {"status": "Pushed", "progressDetail": {}, "id": "aaaaaaaaaaaa"},
    {"status": f"0a1b: digest: {DIGEST} size: 1562"},
]
EXPIRED = "denied: Your authorization token has expired. Reauthenticate and try again."
BROKEN = "Put https://registry/v2/: write tcp 10.0.0.2:4->10.0.0.3:443: write: broken pipe"


def test_progress_by_layer() -> None:
    told: list[Progress] = []
    assert follow(ECR, PUSHED, told.append) == DIGEST
    assert told == [
        Progress("layer bbbbbbbbbbbb", finished=True, note="there already"),
        Progress("layer cccccccccccc", finished=True, note="mounted from base"),
        Progress("layer aaaaaaaaaaaa", 50, 100),
        Progress("layer aaaaaaaaaaaa", 100, 100),
        Progress("layer aaaaaaaaaaaa", 100, 100, finished=True),
    ]


def test_an_error_among_the_events_is_an_error() -> None:
    denied = {"errorDetail": {"message": "denied: no"}, "error": "denied: no"}
    with pytest.raises(RegistryDenied):
        follow(ECR, [PREPARING, denied], lambda _: None)


def test_events_that_end_without_a_digest() -> None:
    with pytest.raises(RegistryUnreachable, match="broke off"):
        follow(ECR, PUSHED[:4], lambda _: None)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (EXPIRED, NotLoggedIn),
        ("no basic auth credentials", NotLoggedIn),
        ("unauthorized: authentication required", NotLoggedIn),
        ("denied: User: arn:aws:iam::1:user/ada is not authorized to perform: ecr:InitiateLayer"
         "Upload", RegistryDenied),
        ("denied: requested access to the resource is denied", RegistryDenied),
        ("name unknown: The repository with name 'voicecore/ada' does not exist in the registry "
         "with id '123456789012'", RepositoryMissing),
        ("tag invalid: The image tag '0a1b' already exists in the 'x' repository and cannot be "
         "overwritten because the tag is immutable.", TagTaken),
        (BROKEN, RegistryUnreachable),
        ("Get \"https://x/v2/\": dial tcp: lookup x on 1.1.1.1:53: no such host",
         RegistryUnreachable),
        ("EOF", RegistryUnreachable),
        ("unexpected status from POST request to https://x/v2/y/blobs/uploads/: 403 Forbidden",
         RegistryDenied),
        ("unexpected status from POST request to https://x/v2/y/blobs/uploads/: 404 Not Found",
         RepositoryMissing),
        ("unexpected status from PUT request to https://x/v2/y/z: 503 Service Unavailable",
         RegistryUnreachable),
        ("received unexpected HTTP status: 502 Bad Gateway", RegistryUnreachable),
        ("write /var/lib/docker/tmp/x: no space left on device", EngineDiskFull),
    ],
)  # fmt: skip
def test_what_the_engine_s_words_mean(said: str, kind: type[VoicecoreError]) -> None:
    error = push_error(ECR, said)
    assert type(error) is kind
    assert said in error.message or kind is RepositoryMissing


def test_an_upload_s_address_is_not_told() -> None:
    said = 'failed to do request: Put "https://x/v2/y/uploads/1?_state=abc&digest=sha256%3Aa": EOF'
    assert 'Put "https://x/v2/y/uploads/1": EOF' in push_error(ECR, said).message


def test_what_ecr_refuses_is_aws_s_refusal() -> None:
    missing = push_error(ECR, "name unknown: The repository does not exist")
    assert missing.exit_code == ExitCode.AWS_REFUSED
    assert "aws ecr create-repository --repository-name voicecore/ada" in str(missing.hint)


def test_a_login_as_the_engine_takes_it() -> None:
    assert auth_config(Login("AWS", "token")) == {"username": "AWS", "password": "token"}
    assert auth_config(Login("", "", "refresh")) == {"identitytoken": "refresh"}
    assert auth_config(None) == {}


class ScriptedApi:
    """What the SDK's client does in a push: one list of events for each."""

    def __init__(self, *pushes: list[Mapping[str, Any]]) -> None:
        self.pushes = list(pushes)
        self.logins: list[Mapping[str, str]] = []

    @property
    def api(self) -> "ScriptedApi":
        return self

    @property
    def client(self) -> "ScriptedApi":
        return self

    def push(
        self, name: str, tag: str, *, stream: bool, decode: bool, auth_config: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        assert (name, tag, stream, decode) == (ECR.name, "0a1b", True, True)
        self.logins.append(auth_config)
        return iter(self.pushes.pop(0))


def failed(said: str) -> list[Mapping[str, Any]]:
    return [PREPARING, {"errorDetail": {"message": said}, "error": said}]


def pushing(api: ScriptedApi, *tokens: str, pauses: list[float]) -> str:
    left = list(tokens)

    def source() -> Login:
        return Login("AWS", left.pop(0) if len(left) > 1 else left[0])

    engine = cast("Engine", api)
    return push(engine, IMAGE, ECR, source, lambda _: None, sleep=pauses.append)


def test_an_expired_token_is_renewed() -> None:
    api = ScriptedApi(failed(EXPIRED), PUSHED)
    assert pushing(api, "old", "new", pauses=[]) == DIGEST
    assert [login["password"] for login in api.logins] == ["old", "new"]


def test_a_login_that_is_still_the_same_is_not_tried_again() -> None:
    api = ScriptedApi(failed(EXPIRED), PUSHED)
    with pytest.raises(NotLoggedIn):
        pushing(api, "old", pauses=[])
    assert len(api.logins) == 1


def test_a_lost_network_is_tried_again_after_a_while() -> None:
    pauses: list[float] = []
    api = ScriptedApi(failed(BROKEN), failed("EOF"), PUSHED)
    assert pushing(api, "token", pauses=pauses) == DIGEST
    assert pauses == [0.5, 1]


def test_a_network_that_stays_lost() -> None:
    pauses: list[float] = []
    api = ScriptedApi(*[failed(BROKEN)] * 6)
    with pytest.raises(RegistryUnreachable, match="could not be reached"):
        pushing(api, "token", pauses=pauses)
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_denial_is_final() -> None:
    api = ScriptedApi(failed("denied: no"))
    with pytest.raises(RegistryDenied):
        pushing(api, "token", pauses=[])


def test_a_denial_that_a_new_token_does_not_change() -> None:
    api = ScriptedApi(failed("403 Forbidden"), failed("403 Forbidden"))
    with pytest.raises(RegistryDenied):
        pushing(api, "one", "two", "three", pauses=[])
    assert len(api.logins) == 2
