"""The choice of ports, also while another voicecore starts."""

import socket
import subprocess
import sys

import pytest

from voicecore.local.processes.ports import PortInUse, free_port, reserved_port


def test_default_port_in_use_gives_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with reserved_port(None, port) as other:
            assert other > port
        with pytest.raises(PortInUse, match=f"Port {port} is in use"), reserved_port(port, 0):
            pass


def test_reserved_port_is_not_given_to_another_voicecore() -> None:
    default = free_port()
    with reserved_port(None, default) as mine, reserved_port(None, default) as others:
        assert mine != others
    with reserved_port(mine, 0):
        pass  # the first block has released it


def test_free_port_is_none_that_a_connection_could_take() -> None:
    assert all(free_port() < 32_768 for _ in range(20))


@pytest.mark.needs("network namespaces")
def test_loopback_without_its_ipv4_address_is_told() -> None:
    program = (
        "from voicecore.local.processes.ports import PortUnavailable, reserved_port\n"
        "try:\n    reserved_port(None, 8080).__enter__()\n"
        "except PortUnavailable as error:\n    print(error.message, error.hint)\n"
    )
    setup = "ip link set lo up && ip addr del 127.0.0.1/8 dev lo && exec "
    shell = f"{setup}{sys.executable} -c '{program}'"
    argv = ["unshare", "--net", "sh", "-c", shell]
    told = subprocess.run(argv, capture_output=True, text=True)
    assert "Could not listen on 127.0.0.1:8080: Cannot assign requested address." in told.stdout
    assert "sudo ip addr add 127.0.0.1/8 dev lo" in told.stdout
