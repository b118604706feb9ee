"""ECR's decisions: which tokens are valid, what they allow, and the errors for the rest.

The errors are those that users of ECR report: 401 with a Basic challenge without credentials, 400
for an invalid token (apple/container#847), 403 for an expired one (serverless/serverless#13116),
and 404 NAME_UNKNOWN for a missing repository, which a push does not create.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tests.standins.models.contract import check_answer, check_request, service
from tests.standins.models.refusal import Refused
from tests.standins.models.sigv4 import Keys, Request, check_headers

TARGET = "AmazonEC2ContainerRegistry_V20150921."
_PATH = re.compile(
    r"/v2/(?P<repository>.+)/"
    r"(?P<kind>blobs/uploads|blobs|manifests|tags)/(?P<reference>[^/]*)"
)
_ACTIONS = {
    ("HEAD", "blobs"): "BatchCheckLayerAvailability",
    ("GET", "blobs"): "GetDownloadUrlForLayer",
    ("POST", "blobs/uploads"): "InitiateLayerUpload",
    ("PATCH", "blobs/uploads"): "UploadLayerPart",
    ("PUT", "blobs/uploads"): "CompleteLayerUpload",
    ("HEAD", "manifests"): "BatchGetImage",
    ("GET", "manifests"): "BatchGetImage",
    ("PUT", "manifests"): "PutImage",
    ("GET", "tags"): "ListImages",
}


@dataclass(frozen=True)
class Lifetime:
    """Limits of a token: it expires after seconds, requests or bytes, whichever is first."""

    seconds: float = 12 * 3600
    requests: float = float("inf")
    bytes: float = float("inf")


@dataclass
class Token:
    """An authorization token and its use so far."""

    password: str
    lifetime: Lifetime
    issued: float = field(default_factory=time.time)
    requests: int = 0
    bytes: int = 0

    @property
    def expires(self) -> float:
        return self.issued + self.lifetime.seconds

    @property
    def expired(self) -> bool:
        return (
            time.time() >= self.expires
            or self.requests > self.lifetime.requests
            or self.bytes >= self.lifetime.bytes
        )


@dataclass(frozen=True)
class Operation:
    """The operation that a request to the registry asks for."""

    repository: str
    kind: str
    reference: str
    action: str


class RegistryError(Exception):
    """An error answer of the registry's API."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"errors": [{"code": code, "message": message}]}


@dataclass
class Ecr:
    """The registry of one account and region; tests change its fields while it runs."""

    account: str = "123456789012"
    region: str = "us-east-1"
    keys: Keys = field(
        default_factory=lambda: Keys("AKIDVOICECORETEST", "a-secret-that-only-the-stand-ins-know")
    )
    repositories: set[str] = field(default_factory=lambda: {"agent"})
    denied: set[str] = field(default_factory=set[str])
    """Denied actions, such as "ecr:PutImage"."""
    lifetimes: list[Lifetime] = field(default_factory=list[Lifetime])
    """Lifetimes of the next tokens."""
    immutable: bool = False
    """True when tags are immutable."""
    mounts: bool = False
    """True when blobs of other repositories can be mounted; an account must enable it."""
    tokens: list[Token] = field(default_factory=list[Token])

    @property
    def host(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    @property
    def bucket(self) -> str:
        """Host that blobs are downloaded from."""
        return f"prod-{self.region}-starport-layer-bucket.s3.{self.region}.amazonaws.com"

    # ---- tokens

    def issue(self) -> Token:
        """Return a new token with the next of `lifetimes`."""
        lifetime = self.lifetimes.pop(0) if self.lifetimes else Lifetime()
        self.tokens.append(Token(secrets.token_urlsafe(200), lifetime))
        return self.tokens[-1]

    def expire(self) -> None:
        """Expire all tokens."""
        for token in self.tokens:
            token.lifetime = Lifetime(seconds=0)

    def check(self, authorization: str | None) -> Token:
        """Return the token of a request, after counting the request. Raises RegistryError."""
        if not authorization:
            realm = f'Basic realm="https://{self.host}/",service="ecr.amazonaws.com"'
            raise RegistryError(401, "UNAUTHORIZED", "Not Authorized", {"WWW-Authenticate": realm})
        user, _, password = _basic(authorization).partition(":")
        found = [token for token in self.tokens if (user, password) == ("AWS", token.password)]
        if not found:
            raise RegistryError(400, "DENIED", "Your Authorization Token is invalid.")
        found[0].requests += 1
        if found[0].expired:
            expired = "Your authorization token has expired. Reauthenticate and try again."
            raise RegistryError(403, "DENIED", expired)
        return found[0]

    # ---- the registry

    def allow(self, method: str, path: str) -> Operation:
        """Return the operation of a request. Raises RegistryError."""
        found = _PATH.fullmatch(path)
        action = _ACTIONS.get((method, found["kind"])) if found else None
        if not found or not action:
            raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.")
        operation = Operation(
            found["repository"], found["kind"], found["reference"], f"ecr:{action}"
        )
        if operation.action in self.denied:
            raise RegistryError(
                403, "DENIED", self._denial(operation.action, self.arn(operation.repository))
            )
        if operation.repository not in self.repositories:
            message = (
                f"The repository with name '{operation.repository}' does not exist "
                f"in the registry with id '{self.account}'"
            )
            raise RegistryError(404, "NAME_UNKNOWN", message)
        return operation

    def require_new_tag(self, operation: Operation, tags: Collection[str]) -> None:
        """Raise RegistryError if the tag is one of the existing `tags`, which are immutable."""
        if operation.reference in tags:
            message = (
                f"The image tag '{operation.reference}' already exists in the "
                f"'{operation.repository}' repository and cannot be overwritten because the tag is "
                "immutable."
            )
            raise RegistryError(400, "TAG_INVALID", message)

    def arn(self, repository: str) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{repository}"

    def _denial(self, action: str, resource: str) -> str:
        return (
            f"User: arn:aws:iam::{self.account}:user/tester is not authorized to perform: {action} "
            f"on resource: {resource} because no identity-based policy allows the {action} action"
        )

    # ---- the AWS API

    def answer(self, request: Request, target: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the ECR API. Raises Refused."""
        check_headers(request, self.keys, self.region, "ecr")
        operation = target.removeprefix(TARGET)
        answers = {
            "GetAuthorizationToken": self._get_authorization_token,
            "CreateRepository": self._create_repository,
            "DescribeRepositories": self._describe_repositories,
            "ListTagsForResource": lambda _: {"tags": []},
        }
        if operation not in answers:
            raise Refused("UnknownOperationException", f"No {operation} here.")
        check_request(service("ecr"), operation, parameters)
        if f"ecr:{operation}" in self.denied:
            raise Refused("AccessDeniedException", self._denial(f"ecr:{operation}", "*"))
        answer = answers[operation](parameters)
        check_answer(service("ecr"), f"{operation}Response", answer)
        return answer

    def _get_authorization_token(self, parameters: dict[str, Any]) -> dict[str, Any]:
        token = self.issue()
        text = base64.b64encode(f"AWS:{token.password}".encode()).decode()
        endpoint = f"https://{self.host}"
        data = {"authorizationToken": text, "expiresAt": token.expires, "proxyEndpoint": endpoint}
        return {"authorizationData": [data]}

    def _create_repository(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["repositoryName"]
        if name in self.repositories:
            message = (
                f"The repository with name '{name}' already exists "
                f"in the registry with id '{self.account}'"
            )
            raise Refused("RepositoryAlreadyExistsException", message)
        self.repositories.add(name)
        return {"repository": self._described(name)}

    def _describe_repositories(self, parameters: dict[str, Any]) -> dict[str, Any]:
        names = parameters.get("repositoryNames") or sorted(self.repositories)
        for name in names:
            if name not in self.repositories:
                message = (
                    f"The repository with name '{name}' does not exist "
                    f"in the registry with id '{self.account}'"
                )
                raise Refused("RepositoryNotFoundException", message)
        return {"repositories": [self._described(name) for name in names]}

    def _described(self, name: str) -> dict[str, Any]:
        return {
            "repositoryName": name,
            "repositoryArn": self.arn(name),
            "registryId": self.account,
            "repositoryUri": f"{self.host}/{name}",
        }


def _basic(authorization: str) -> str:
    scheme, _, text = authorization.partition(" ")
    try:
        return base64.b64decode(text).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
