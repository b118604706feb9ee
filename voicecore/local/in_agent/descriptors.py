"""Owns the file descriptors of a frozen process (Linux): what its sessions may not share.

A fork shares sockets, pipes and event polls with all other forks. In a microVM a session has its
own, under the same numbers; connections to elsewhere are dead after a restore, as here.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import select
import socket
import struct
import termios
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_FDS = Path("/proc/self/fd")
_FLAGS_KEPT = os.O_NONBLOCK | os.O_APPEND


class CannotFork(Exception):
    """The process holds something that its forks would share and that cannot be replaced."""


@dataclass
class Bound:
    """A socket with an address, to be bound again for each session."""

    fd: int
    kind: tuple[int, int, int]  # family, type, protocol
    address: tuple[str | int, ...]
    only_ipv6: int


@dataclass
class Descriptors:
    """The descriptors of a process that its forks must replace."""

    listeners: list[Bound] = field(default_factory=list["Bound"])
    datagrams: list[Bound] = field(default_factory=list["Bound"])
    connections: list[int] = field(default_factory=list[int])
    socket_pairs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    pipes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    events: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    files: list[int] = field(default_factory=list[int])
    polls: list[tuple[int, list[tuple[int, int]]]] = field(
        default_factory=list[tuple[int, list[tuple[int, int]]]]
    )


def read(keep: Sequence[int]) -> Descriptors:
    """Return the descriptors of this process, except `keep`. Raises CannotFork."""
    found = Descriptors()
    ends: list[int] = []  # of socket pairs
    pipes: dict[str, list[int]] = {}
    for fd, target in _open_descriptors(keep):
        kind, _, rest = target.partition(":")
        if kind == "socket":
            _sort_socket(fd, found, ends)
        elif kind == "pipe":
            pipes.setdefault(rest, []).append(fd)
        elif kind == "anon_inode":
            _sort_anonymous(fd, rest.strip("[]"), found)
        elif target.startswith("/") and (_FDS / str(fd)).is_file():
            found.files.append(fd)
    found.socket_pairs, alone = _pairs(ends)
    found.connections += alone
    found.pipes = [_by_direction(*both) for both in pipes.values() if len(both) == 2]
    return found


def cut_connections(found: Descriptors) -> None:
    """End all connections of this process, as a restore finds them; its forks inherit that.

    It stops listening too, so that a client is refused rather than never answered.
    """
    for fd in found.connections:
        _replace(fd, _dead_connection())
    for listener in found.listeners:
        _replace(listener.fd, socket.socket(*listener.kind))


def bind(found: Descriptors, old_port: int, new_port: int) -> list[socket.socket]:
    """Return a listening socket for each listener: at the new port, or else at any. Raises OSError.

    The parent binds, so that the session's first request finds somebody listening.
    """
    bound: list[socket.socket] = []
    for listener in found.listeners:
        new = _bound(listener, new_port if listener.address[1] == old_port else 0)
        new.listen(128)
        bound.append(new)
    return bound


def renew(found: Descriptors, bound: Sequence[socket.socket]) -> None:
    """Give this process, a fork, its own descriptors."""
    for listener, new in zip(found.listeners, bound, strict=True):
        _replace(listener.fd, new)
    for datagrams in found.datagrams:
        _replace(datagrams.fd, _bound(datagrams, 0))
    for pair in found.socket_pairs:
        for fd, new in zip(pair, socket.socketpair(), strict=True):
            _replace(fd, new)
    for pair in found.pipes:
        for fd, new in zip(pair, os.pipe(), strict=True):
            _replace_fd(fd, new)
    for fd, count in found.events:
        _replace_fd(fd, os.eventfd(count))
    for fd in found.files:
        _reopen(fd)
    for fd, registered in found.polls:  # last: they refer to the others
        poll = select.epoll()
        for watched, events in registered:
            with suppress(OSError):
                poll.register(watched, events)
        os.dup2(poll.fileno(), fd, inheritable=False)
        poll.close()


def _open_descriptors(keep: Sequence[int]) -> Iterator[tuple[int, str]]:
    for path in _FDS.iterdir():
        fd = int(path.name)
        if fd > 2 and fd not in keep:
            with suppress(OSError):  # that of this listing
                yield fd, str(path.readlink())


def _bound(like: Bound, port: int) -> socket.socket:
    """Return a new socket like that one, at another port if that one has any."""
    new = socket.socket(*like.kind)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if like.kind[0] == socket.AF_INET6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, like.only_ipv6)
    host, old_port, *more = like.address
    if old_port:
        new.bind((host, port, *more))
    return new


def _sort_socket(fd: int, found: Descriptors, ends: list[int]) -> None:
    with socket.socket(fileno=os.dup(fd)) as own:
        kind = (own.family, own.type, own.proto)
        inet = own.family in (socket.AF_INET, socket.AF_INET6)
        if own.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            return
        listens = own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if listens and not inet:
            raise CannotFork("it listens on a Unix socket")
        if listens or (inet and own.type == socket.SOCK_DGRAM):
            only = 0
            if own.family == socket.AF_INET6:
                only = own.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            bound = Bound(fd, kind, own.getsockname(), only)
            (found.listeners if listens else found.datagrams).append(bound)
        elif not inet and _made_by_us(own):
            ends.append(fd)
        else:
            with suppress(OSError):  # not connected yet
                own.getpeername()
                found.connections.append(fd)


def _made_by_us(own: socket.socket) -> bool:
    credentials = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[0] == os.getpid() and not own.getsockname()


def _sort_anonymous(fd: int, kind: str, found: Descriptors) -> None:
    info = Path(f"/proc/self/fdinfo/{fd}").read_text()
    if kind == "eventfd":
        count = re.search(r"eventfd-count:\s+([0-9a-f]+)", info)
        found.events.append((fd, int(count[1], 16) if count else 0))
    elif kind == "eventpoll":
        registered: list[tuple[int, int]] = []
        for line in re.findall(r"tfd:\s+(\d+) events:\s+([0-9a-f]+) data:\s+([0-9a-f]+)", info):
            if int(line[2], 16) & 0xFFFFFFFF != int(line[0]):
                raise CannotFork("an event loop of a library runs in it")
            registered.append((int(line[0]), int(line[1], 16)))
        found.polls.append((fd, registered))
    else:
        raise CannotFork(f"it holds a {kind}")


def _pairs(ends: list[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return which of the ends are connected, and those whose other end is not among them.

    Nothing says so directly: what is written to one arrives at the other. Both are replaced later.
    """
    pairs: list[tuple[int, int]] = []
    alone: list[int] = []
    rest = list(ends)
    while rest:
        fd = rest.pop()
        before = {other: _unread(other) for other in rest}
        with suppress(OSError):
            os.write(fd, b"\0")
        mate = next((other for other in rest if _unread(other) > before[other]), None)
        if mate is None:
            alone.append(fd)
        else:
            rest.remove(mate)
            pairs.append((fd, mate))
    return pairs, alone


def _unread(fd: int) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, size)
    return size[0]


def _by_direction(one: int, other: int) -> tuple[int, int]:
    """Return the reading and the writing end of a pipe."""
    writes = fcntl.fcntl(one, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    return (other, one) if writes else (one, other)


def _dead_connection() -> socket.socket:
    """Return a TCP connection that its other side has ended."""
    dead = socket.socket()
    with suppress(OSError), socket.create_server(("127.0.0.1", 0)) as server:
        dead.connect(server.getsockname())
        server.accept()[0].close()
    return dead


def _reopen(fd: int) -> None:
    """Open the same file again: forks share the position in it."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    with suppress(OSError):  # deleted, or no longer readable: it stays shared
        position = os.lseek(fd, 0, os.SEEK_CUR)
        new = os.open(_FDS / str(fd), flags & (os.O_ACCMODE | os.O_APPEND))
        os.lseek(new, position, os.SEEK_SET)
        _replace_fd(fd, new)


def _replace(fd: int, new: socket.socket) -> None:
    _replace_fd(fd, new.detach())


def _replace_fd(fd: int, new: int) -> None:
    """Put `new` at the number `fd`, with the flags of what was there."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & _FLAGS_KEPT
    inheritable = os.get_inheritable(fd)
    os.dup2(new, fd, inheritable=inheritable)
    os.close(new)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | flags)
