"""Variables for proxies and certificate authorities, as every client needs them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.standins.inspecting_proxy import inspecting_proxy
from tests.standins.package_index import git_over_http
from voicecore.console.network_env import (
    CA_VARIABLES,
    completed,
    download_advice,
    trust_advice,
)
from voicecore.console.proxies import proxy_for

PROXY = "http://proxy.example:3128"
METADATA = "169.254.169.254,169.254.170.2,fd00:ec2::254"


@pytest.mark.parametrize("given", CA_VARIABLES)
def test_one_file_of_authorities_is_for_all_clients(given: str) -> None:
    added = completed({given: "/corp/ca.pem"})
    others = {*CA_VARIABLES, "GIT_SSL_CAINFO"} - {given}
    assert added == dict.fromkeys(others, "/corp/ca.pem")


def test_variable_that_is_set_is_kept() -> None:
    set_all: dict[str, str] = dict(
        zip(CA_VARIABLES, ("/aws.pem", "/all.pem", "/docker.pem"), strict=True)
    )
    set_all["GIT_SSL_CAINFO"] = "/git.pem"
    assert completed(set_all) == {}


def test_git_trusts_the_same_authorities(tmp_path: Path) -> None:
    repository = tmp_path / "tools"
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    with (
        git_over_http(repository) as url,
        inspecting_proxy(tmp_path, {"git.example": url}) as proxy,
    ):
        given = {**os.environ, **proxy.environment("AWS_CA_BUNDLE"), "GIT_SSL_CAINFO": ""}
        env = {name: value for name, value in given.items() if value}
        env |= completed(env)
        subprocess.run(["git", "ls-remote", "https://git.example/"], env=env, check=True)
    assert "git.example" in proxy.hosts


@pytest.mark.parametrize(
    ("env", "added"),
    [
        ({}, {}),
        ({"NO_PROXY": "corp.example"}, {}),
        ({"HTTPS_PROXY": PROXY}, {"NO_PROXY": f"127.0.0.1,localhost,::1,{METADATA}"}),
        ({"http_proxy": PROXY, "no_proxy": "corp.example, localhost"},
         {"no_proxy": f"corp.example,localhost,127.0.0.1,::1,{METADATA}"}),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, {"NO_PROXY": "*"}),
    ],
)  # fmt: skip
def test_this_machine_is_reached_without_a_proxy(
    env: Mapping[str, str], added: Mapping[str, str]
) -> None:
    assert completed(env) == added


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://calls.example/start", PROXY),
        ("wss://agent.example/ws?a=b", PROXY),
        ("https://host.corp.example", None),
        ("https://127.0.0.1:8443", None),
        ("wss://[::1]:8443/ws", None),
        ("http://calls.example", "http://plain.example:80"),
    ],
)
def test_proxy_of_a_url(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("HTTP_PROXY", "plain.example:80")
    monkeypatch.setenv("NO_PROXY", ".corp.example")
    assert proxy_for(url) == proxy


def test_advice_names_the_file_that_is_missing_or_incomplete(tmp_path: Path) -> None:
    assert "export SSL_CERT_FILE=" in trust_advice({})
    assert "/no/ca.pem, which does not exist" in trust_advice({"SSL_CERT_FILE": "/no/ca.pem"})
    incomplete = tmp_path / "ca.pem"
    incomplete.touch()
    assert f"names:  {incomplete}" in trust_advice({"AWS_CA_BUNDLE": str(incomplete)})


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("error: error sending request for url (https://pypi.org/simple/x/)", "HTTPS_PROXY"),
        ("error: No solution found", ""),
    ],
)
def test_output_of_uv_is_explained(output: str, advice: str) -> None:
    found = download_advice(output, {})
    assert advice in found if advice else found == ""
