"""Owns which modules are mutated, and the tests that should notice: each list takes up to 10 s."""

from __future__ import annotations

from dataclasses import dataclass

_IMAGE = "voicecore/image"
_REGISTRY_TESTS = tuple(
    f"tests/unit/image/test_{name}.py"
    for name in (
        "registry_connection", "client_connections", "client_logins", "client_manifests",
        "client_pushes", "hostile_registry", "manifests",
    )
)  # fmt: skip
_POLICY_TESTS = (
    "tests/golden/test_permissions.py", "tests/golden/test_templates.py",
    "tests/unit/cloud/test_iam.py", "tests/unit/cloud/test_partitions.py",
    "tests/unit/test_account_rules.py",
)  # fmt: skip
_SECRET_TESTS = (
    "tests/unit/image/test_secret_scan.py", "tests/unit/image/test_planted_secrets.py"
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A module and its tests; of a generated project if `project`, else of this repository."""

    module: str
    tests: tuple[str, ...]
    project: bool = False


def _of(module: str, *tests: str) -> Target:
    return Target(f"voicecore/{module}.py", tuple(f"tests/unit/{test}.py" for test in tests))


def _of_server(module: str, *tests: str) -> Target:
    place = "server/internal"
    return Target(
        f"{place}/{module}.py", tuple(f"{place}/tests/test_{test}.py" for test in tests), True
    )


TARGETS = (
    *(Target(f"{_IMAGE}/registry/{name}.py", _REGISTRY_TESTS)
      for name in ("auth", "client", "connection", "http", "manifests")),
    *(Target(f"{_IMAGE}/inputs/{name}.py", _SECRET_TESTS)
      for name in ("secret_scan", "secret_rules")),
    *(Target(f"voicecore/cloud/iam/{name}.py", _POLICY_TESTS)
      for name in ("deployer", "server_deployer", "execution_role", "server_roles", "statements")),
    _of("image/registry/reference", "image/test_reference"),
    _of("image/registry/credentials", "image/test_credentials"),
    _of("image/inputs/dockerignore", "image/test_build_context"),
    _of("image/inputs/fingerprint", "image/test_fingerprint"),
    _of("image/inputs/locked_packages", "image/test_lockfile", "image/test_packages"),
    _of("image/blob_store", "image/test_blob_store", "image/test_packing", "image/test_packages"),
    _of("image/builders/packing", "image/test_packing"),
    _of("local/gateway/sigv4", "local/test_sigv4"),
    _of("local/gateway/request", "local/test_request"),
    _of("local/sessions/lifecycle", "local/test_lifecycle"),
    _of("local/sessions/live_session", "local/test_live_session"),
    _of("local/sessions/session_table", "local/test_session_table"),
    _of("cloud/deploy/plan", "cloud/test_plan"),
    _of("cloud/preflight/given_network", "cloud/test_given_network"),
    _of("cloud/stacks/env_split", "cloud/test_env_split", "cloud/test_agent_stack"),
    _of("cloud/stacks/versions", "cloud/test_versions"),
    _of("project/aws_names", "test_aws_names"),
    _of("project/settings/network", "test_project", "test_project_errors"),
    _of("project/no_links", "test_no_links"),
    _of("project/settings/account_rules", "test_account_rules"),
    _of("scaffold/merge", "scaffold/test_merge"),
    _of("talk/transports/rtvi", "talk/test_rtvi", "talk/test_hostile_frames"),
    _of("talk/turn_tracker", "talk/test_turn_tracker", "talk/test_any_order"),
    _of("catalog/phones/signaling", "phones/test_signaling", "phones/test_answers"),
    _of("catalog/phones/media", "phones/test_media"),
    _of_server("access", "server"),
    _of_server("limits", "server", "networks"),
    _of_server("middleware", "server", "telephony"),
    _of_server("networks", "networks"),
    _of_server("session_table", "session_table", "server"),
    _of_server("sigv4", "websocket"),
    *(_of_server(f"telephony/providers/{name}", name)
      for name in ("exotel", "plivo", "telnyx", "twilio", "vonage")),
)  # fmt: skip
