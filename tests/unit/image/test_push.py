"""Pushes by the Docker engine: events, error messages and retries."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.docker.engine import Engine, EngineDiskFull
from voicecore.image.docker.push import auth_config, follow, push, push_error
from voicecore.image.model import BuiltImage, Layer
from voicecore.image.registry.credentials import RegistryLogin
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
IMAGE = BuiltImage("0a1b", "", {}, (Layer("packages", "sha256:0", 5),), ())

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


def test_follow_reports_progress_by_layer() -> None:
    steps: list[Progress] = []
    assert follow(ECR, PUSHED, steps.append) == DIGEST
    assert steps == [
        Progress("layer bbbbbbbbbbbb", finished=True, note="already there"),
        Progress("layer cccccccccccc", finished=True, note="mounted from base"),
        Progress("layer aaaaaaaaaaaa", 50, 100),
        Progress("layer aaaaaaaaaaaa", 100, 100),
        Progress("layer aaaaaaaaaaaa", 100, 100, finished=True),
    ]


def test_follow_raises_error_event() -> None:
    denied = {"errorDetail": {"message": "denied: no"}, "error": "denied: no"}
    with pytest.raises(RegistryDenied):
        follow(ECR, [PREPARING, denied], lambda _: None)


def test_follow_reports_push_without_digest() -> None:
    with pytest.raises(RegistryUnreachable, match="ended early"):
        follow(ECR, PUSHED[:4], lambda _: None)


@pytest.mark.parametrize(
    ("message", "kind"),
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
def test_push_error_of_engine_message(message: str, kind: type[VoicecoreError]) -> None:
    error = push_error(ECR, message)
    assert type(error) is kind
    assert message in error.message or kind is RepositoryMissing


def test_push_error_omits_query_of_upload_url() -> None:
    message = (
        'failed to do request: Put "https://x/v2/y/uploads/1?_state=abc&digest=sha256%3Aa": EOF'
    )
    assert 'Put "https://x/v2/y/uploads/1": EOF' in push_error(ECR, message).message


def test_ecr_error_has_aws_exit_code() -> None:
    missing = push_error(ECR, "name unknown: The repository does not exist")
    assert missing.exit_code == ExitCode.AWS_REFUSED
    assert "aws ecr create-repository --repository-name voicecore/ada" in str(missing.hint)


def test_auth_config() -> None:
    assert auth_config(RegistryLogin("AWS", "token")) == {"username": "AWS", "password": "token"}
    assert auth_config(RegistryLogin("", "", "refresh")) == {"identitytoken": "refresh"}
    assert auth_config(None) == {}


class ScriptedApi:
    """The SDK's client: each push returns the next list of events."""

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


def failed(message: str) -> list[Mapping[str, Any]]:
    return [PREPARING, {"errorDetail": {"message": message}, "error": message}]


def push_with(api: ScriptedApi, *tokens: str, pauses: list[float]) -> str:
    remaining = list(tokens)

    def source() -> RegistryLogin:
        return RegistryLogin("AWS", remaining.pop(0) if len(remaining) > 1 else remaining[0])

    engine = cast("Engine", api)
    return push(engine, IMAGE, ECR, source, lambda _: None, sleep=pauses.append)


def test_push_renews_expired_token() -> None:
    api = ScriptedApi(failed(EXPIRED), PUSHED)
    assert push_with(api, "old", "new", pauses=[]) == DIGEST
    assert [login["password"] for login in api.logins] == ["old", "new"]


def test_push_does_not_repeat_same_login() -> None:
    api = ScriptedApi(failed(EXPIRED), PUSHED)
    with pytest.raises(NotLoggedIn):
        push_with(api, "old", pauses=[])
    assert len(api.logins) == 1


def test_push_retries_after_network_failure() -> None:
    pauses: list[float] = []
    api = ScriptedApi(failed(BROKEN), failed("EOF"), PUSHED)
    assert push_with(api, "token", pauses=pauses) == DIGEST
    assert pauses == [0.5, 1]


def test_push_fails_after_all_retries() -> None:
    pauses: list[float] = []
    api = ScriptedApi(*[failed(BROKEN)] * 6)
    with pytest.raises(RegistryUnreachable, match="Could not reach"):
        push_with(api, "token", pauses=pauses)
    assert pauses == [0.5, 1, 2, 4, 8]


def test_push_does_not_retry_denial() -> None:
    api = ScriptedApi(failed("denied: no"))
    with pytest.raises(RegistryDenied):
        push_with(api, "token", pauses=[])


def test_push_renews_token_only_once() -> None:
    api = ScriptedApi(failed("403 Forbidden"), failed("403 Forbidden"))
    with pytest.raises(RegistryDenied):
        push_with(api, "one", "two", "three", pauses=[])
    assert len(api.logins) == 2
