"""The choice of ports, also while another voicecore starts."""

import socket

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
