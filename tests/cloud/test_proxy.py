"""AWS through a proxy that inspects TLS, as in a company's network."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from tests.standins.inspecting_proxy import InspectingProxy, inspecting_proxy
from voicecore.console.errors import ExitCode

HOSTS = ("*.us-east-1.amazonaws.com", "*.amazonaws.com", "api.ecr.us-east-1.amazonaws.com")


@pytest.fixture
def proxy(aws: Aws, tmp_path: Path) -> Iterator[InspectingProxy]:
    with inspecting_proxy(tmp_path, dict.fromkeys(HOSTS, aws.url)) as proxy:
        yield proxy


@pytest.fixture
def export(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Set the variables of this process, where an empty value unsets one; AWS is at its names."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    def export(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
            if not value:
                monkeypatch.delenv(name)

    return export


def test_deploy_through_a_proxy(
    deployer: Deployer, proxy: InspectingProxy, export: Callable[[Mapping[str, str]], None]
) -> None:
    export(proxy.environment("AWS_CA_BUNDLE"))
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert {"sts.us-east-1.amazonaws.com", "iam.amazonaws.com"} <= set(proxy.hosts)


def test_authorities_of_any_variable_are_trusted(
    deployer: Deployer, proxy: InspectingProxy, export: Callable[[Mapping[str, str]], None]
) -> None:
    export(proxy.environment("SSL_CERT_FILE"))
    argv = [sys.executable, "-m", "voicecore", "status"]
    shown = subprocess.run(
        argv, cwd=deployer.root, env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert "not deployed" in shown.stdout, shown.stderr
    assert "sts.us-east-1.amazonaws.com" in proxy.hosts


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"AWS_CA_BUNDLE": ""},
         ("certificate of sts.us-east-1.amazonaws.com is not trusted: "
          "self-signed certificate in certificate chain", "export SSL_CERT_FILE=")),
        ({"AWS_CA_BUNDLE": "/no/ca.pem"}, ("names /no/ca.pem, which does not exist",)),
        ({"HTTPS_PROXY": "http://127.0.0.1:1"},
         ("proxy http://127.0.0.1:1 gives no connection to AWS: Connection refused",
          "HTTPS_PROXY names the proxy", "NO_PROXY=")),
    ],
)  # fmt: skip
def test_failure_behind_a_proxy_names_the_variable(
    voicecore: Voicecore,
    deployer: Deployer,
    proxy: InspectingProxy,
    export: Callable[[Mapping[str, str]], None],
    change: Mapping[str, str],
    texts: tuple[str, ...],
) -> None:
    export({**proxy.environment("AWS_CA_BUNDLE"), **change, "AWS_MAX_ATTEMPTS": "1"})
    failed = voicecore("status", cwd=deployer.root)
    assert failed.code == ExitCode.AWS_REFUSED
    for text in texts:
        assert text in failed.stderr


def test_hosts_that_need_no_proxy_are_reached_directly(
    voicecore: Voicecore,
    aws: Aws,
    deployer: Deployer,
    proxy: InspectingProxy,
    export: Callable[[Mapping[str, str]], None],
) -> None:
    unused = {"HTTP_PROXY": proxy.url, "AWS_ENDPOINT_URL": aws.url, "NO_PROXY": "127.0.0.1"}
    export({**proxy.environment("AWS_CA_BUNDLE"), **unused})
    assert voicecore("status", cwd=deployer.root).code == ExitCode.OK
    assert proxy.hosts == []
