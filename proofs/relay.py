"""A relay of TCP connections that can be cut, as a network can."""

import selectors
import socket
import threading
from contextlib import suppress


class Relay:
    """Passes on what comes to a port of this machine, until it is cut.

    Args:
        target: The port of this machine that everything goes to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._is_cut = False
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections and lets no new one through."""
        with self._lock:
            self._is_cut = True
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(pair)

    def mend(self) -> None:
        """Lets connections through again."""
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            here, _ = self._listener.accept()
            if self._is_cut:
                here.close()
                continue
            try:
                pair = here, socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                here.close()
                continue
            with self._lock:
                is_cut = self._is_cut  # since it was looked at
                self._pairs += [] if is_cut else [pair]
            if is_cut:
                _close(pair)
                continue
            threading.Thread(target=_pass_on, args=(pair,), daemon=True).start()


def _pass_on(pair: tuple[socket.socket, socket.socket]) -> None:
    with selectors.DefaultSelector() as selector:
        for one, other in (pair, pair[::-1]):
            selector.register(one, selectors.EVENT_READ, other)
        try:
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    key.data.sendall(data)
        except OSError:
            return
        finally:
            _close(pair)


def _close(pair: tuple[socket.socket, socket.socket]) -> None:
    for one in pair:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
