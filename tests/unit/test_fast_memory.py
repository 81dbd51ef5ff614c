"""Memory of one box serves the next, and never while somebody holds the first."""

import subprocess
import sys
import threading

import numpy as np

from pipelines.radiomics.fast.streams import lent

KIND: np.dtype[np.generic] = np.dtype(np.int16)


def test_memory_that_nobody_holds_is_lent_again() -> None:
    box = lent((4, 5, 6), KIND)
    place = box.ctypes.data
    del box

    assert lent((3, 5, 6), KIND).ctypes.data == place


def test_memory_that_a_view_holds_is_not_lent_again() -> None:
    box = lent((4, 5, 6), KIND)
    box[:] = 1
    view = box[1:, 2:, ::2].T
    del box

    lent((4, 5, 6), KIND)[:] = 2

    assert (view == 1).all()


def test_every_thread_has_memory_of_its_own() -> None:
    places = [lent((4, 5, 6), KIND).ctypes.data]
    gate = threading.Event()

    def ask() -> None:
        places.append(lent((4, 5, 6), KIND).ctypes.data)
        gate.wait(1)

    thread = threading.Thread(target=ask)
    thread.start()
    held = lent((4, 5, 6), KIND)
    gate.set()
    thread.join()

    assert held.ctypes.data == places[0] != places[1]


def test_the_engine_needs_neither_arrow_nor_the_studys_settings() -> None:
    code = "import sys, pipelines.radiomics.fast.engine; print({'pyarrow', 'pandas', 'pydantic'} & set(sys.modules))"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "set()"
