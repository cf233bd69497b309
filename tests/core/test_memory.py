"""How much shares a call: what is free decides, and running out of memory is not the end."""

from itertools import chain

import pytest
import torch

from revpers_core.method.memory import CPU_AREA, faces_at_once, in_chunks, is_out_of_memory, steps_at_once


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_sixteen_large_faces_stream(kind):
    """A few of 1024 x 1024 pixels at a time, one where no more fits."""
    shape = (16, 4, 128, 128)
    faces = faces_at_once(shape, kind, lambda rows: True)
    assert faces == {"cpu": 1, "cuda": 4}[kind]
    assert faces_at_once(shape, kind, lambda rows: rows <= 4) == min(faces, 2)
    assert faces_at_once(shape, kind, lambda rows: False) == 1
    assert faces_at_once((16, 4, 16, 16), kind, lambda rows: True) == 16


def test_steps_fill_what_faces_leave():
    assert steps_at_once((1, 4, 16, 16), "cpu", lambda rows: True) == CPU_AREA // (2 * 16 * 16)
    assert steps_at_once((1, 4, 16, 16), "cpu", lambda rows: rows <= 20) == 8
    assert steps_at_once((9, 4, 128, 128), "cuda", lambda rows: False) == 1


def test_running_out_of_memory_halves():
    tried = []

    def make(part: slice) -> list[int]:
        tried.append(part.stop - part.start)
        if part.stop - part.start > 3:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)")
        return list(range(16))[part]

    assert list(chain(*in_chunks(16, 13, make))) == list(range(16))
    assert tried == [13, 6, 3, 3, 3, 3, 3, 1]
    with pytest.raises(torch.OutOfMemoryError):
        in_chunks(2, 2, lambda part: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(ValueError, match="other"):
        in_chunks(2, 2, lambda part: (_ for _ in ()).throw(ValueError("other")))


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (torch.OutOfMemoryError("Tried to allocate"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_has_many_names(error, answer):
    assert is_out_of_memory(error) is answer
