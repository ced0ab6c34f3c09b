"""This machine's own network, for programs that are started beside ours: a free port, and whether one answers."""

import asyncio
import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on now; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def answers(port: int) -> bool:
    """Whether something on this machine's `port` speaks HTTP, whatever it says."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await reader.read(5) == b"HTTP/"
    except ConnectionError:
        return False
    finally:
        writer.close()
