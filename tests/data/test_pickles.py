"""What a user is promised of a pickle from a stranger: data comes out, no code runs, and a refusal is a sentence."""

import codecs
import os
import pickle
import random
import resource
import shutil
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocnn.data.pickles import read_pickle
from audiocnn.errors import UserError
from tests.support.paths import ROOT
from tests.support.pickle_bombs import PICKLE_BOMBS, pickle_bomb
from tests.support.processes import environment

PROTOCOLS = [2, 3, 4, 5]


class Calls:
    """Pickles as a call of any function with any arguments, and a state where one is given."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


def read(folder: Path, content: bytes) -> Any:
    path = folder / "features.pkl"
    path.write_bytes(content)
    return read_pickle(path)


def refused(folder: Path, content: bytes) -> str:
    with pytest.raises(UserError) as error:
        read(folder, content)
    text = str(error.value)
    assert text.startswith(str(folder / "features.pkl"))
    assert "\n" not in text
    return text


def numpy_1(content: bytes) -> bytes:
    """The same pickle under the module names that numpy 1.x writes, with the lengths before them mended."""
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        content = content.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old)
        content = content.replace(b"c" + new + b"\n", b"c" + old + b"\n")
    if content[2:3] == pickle.FRAME:  # a frame's length counts the letters that are gone: leave the frame out
        content = content[:2] + content[11:]
    return content


def arrays() -> list[np.ndarray[Any, Any]]:
    values = np.random.default_rng(0).uniform(0, 100, (3, 4, 5))
    kinds = [values.astype(kind) for kind in ("f2", "f4", "f8", ">f4", ">i8", "i8", "u1", "?")]
    shapes = [np.asfortranarray(values), values.transpose(1, 0, 2), values[:, ::2], np.zeros((0, 3)), np.array(2.5)]
    return [*kinds, *shapes, np.array(["a", "klaxon"]), values.astype("f4").repeat(30)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("older", [False, True], ids=["this numpy", "numpy 1"])
def test_arrays_of_numpy_1_and_2_come_out_as_they_went_in(tmp_path: Path, protocol: int, older: bool) -> None:
    for array in arrays():
        content = pickle.dumps(array, protocol)
        if older:
            content = numpy_1(content)
            assert b"numpy._core" not in content
        found = read(tmp_path, content)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert np.array_equal(found, array)
        assert not found.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_plain_containers_come_out_as_they_went_in(tmp_path: Path, protocol: int) -> None:
    numbers = [1, -5, 300, 70_000, 2**40, -(2**63), 1.5, None, True, False]
    containers = [
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
        {"a": [1]},
        {1, 2},
        frozenset({3}),
        OrderedDict(b=2),
        "ä\udc80",
    ]
    value = [*numbers, *containers, np.float32(2), np.int64(7), np.str_("siren"), np.bool_(True), b"", b"x" * 300]
    assert read(tmp_path, pickle.dumps(value, protocol)) == value
    assert read(tmp_path, pickle.dumps([bytearray(b"abc"), bytearray()], protocol)) == [b"abc", b""]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_array_named_twice_is_one_array(tmp_path: Path, protocol: int) -> None:
    array = np.arange(6.0)
    first, second = read(tmp_path, pickle.dumps([array, array], protocol))
    assert first is second
    assert np.array_equal(first, array)


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "posix.system": lambda flag: Calls(os.system, f"touch {flag}"),
    "eval": lambda flag: Calls(eval, f"open({str(flag)!r}, 'w')"),
    "exec": lambda flag: Calls(exec, f"open({str(flag)!r}, 'w')"),
    "getattr": lambda flag: Calls(getattr, flag, "touch"),
    "shutil.copyfile": lambda flag: Calls(shutil.copyfile, __file__, str(flag)),
    "codecs.decode": lambda flag: Calls(codecs.decode, b"", "zlib"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_names_code_is_refused_by_name_and_runs_nothing(tmp_path: Path, name: str, protocol: int) -> None:
    flag = tmp_path / "it_ran"
    hostile = HOSTILE[name](flag)
    for value in (hostile, [np.zeros(3), {"deep": (hostile,)}]):
        content = pickle.dumps(value, protocol)
        text = refused(tmp_path, content)
        assert name in text
        assert not flag.exists()


def test_the_hostile_pickles_are_real(tmp_path: Path) -> None:
    flag = tmp_path / "it_ran"
    pickle.loads(pickle.dumps(HOSTILE["posix.system"](flag), 4))
    assert flag.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_object_array_that_carries_code_is_refused(tmp_path: Path, protocol: int) -> None:
    flag = tmp_path / "it_ran"
    array = np.array([HOSTILE["posix.system"](flag), 1], dtype=object)
    text = refused(tmp_path, pickle.dumps([np.zeros(2), array], protocol))
    assert "Python objects" in text or "posix.system" in text
    assert "Python objects" in refused(tmp_path, pickle.dumps(np.array([1, None], dtype=object), protocol))
    assert not flag.exists()


def names(module: str, name: str, stacked: bool) -> bytes:
    if not stacked:
        return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93."


@pytest.mark.parametrize("stacked", [False, True], ids=["GLOBAL", "STACK_GLOBAL"])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "core.multiarray._reconstruct"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "dtype.__setstate__"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("numpy", "f2py.os.system"),
        ("builtins", "eval"),
        ("_codecs", "decode"),
        ("numpy", "\x1b[31m"),
        ("copyreg", "_reconstructor"),
        ("", ""),
    ],
)
def test_a_dotted_or_strange_name_is_refused_by_name(tmp_path: Path, module: str, name: str, stacked: bool) -> None:
    text = refused(tmp_path, names(module, name, stacked))
    assert f"names {ascii(f'{module}.{name}')[1:-1]}" in text
    assert text.isprintable()


def stand_in(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


DTYPE = stand_in("numpy", "dtype")
F4 = DTYPE + b"(U\x02f4I00\n".replace(b"U\x02", b"X\x02\0\0\0").replace(b"I00\n", b"\x89") + b"\x88t"
STATE = b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff%st"
EMPTY_ARRAY = stand_in("numpy._core.multiarray", "_reconstruct") + stand_in("numpy", "ndarray") + b"K\0\x85C\1b\x87R"


@pytest.mark.parametrize(
    "body",
    [
        F4 + b"R" + STATE % b"K\x3f" + b"b",  # flags of an object dtype on float32
        F4 + b"R" + (STATE % b"K\0").replace(b"NNN", b"NN}") + b"b",  # fields
        F4 + b"R" + (STATE % b"K\0").replace(b"J\xff\xff\xff\xff", b"J\x08\0\0\0", 1) + b"b",  # another item size
        F4 + b"R" + (STATE % b"K\0").replace(b"K\3", b"K\4") + b"b",  # metadata's version
        F4 + b"R}b",  # a dict for a state
        F4 + b"R" + 2 * (STATE % b"K\0" + b"b"),  # built twice
        F4 + b"R",  # never built
        DTYPE + b"X\x04\0\0\0f4,O\x89\x88\x87R",
        DTYPE + b"X\x02\0\0\0V4\x89\x88\x87R",
        DTYPE + b")R",
        DTYPE + b"]R",
        DTYPE + b"}b",  # BUILD on a stand-in itself
        DTYPE,
        EMPTY_ARRAY,
        EMPTY_ARRAY + b")b",
        EMPTY_ARRAY + b"(K\1K\0\x85NN]tb",
        stand_in("numpy", "ndarray") + b"K\1\x85R",
        stand_in("numpy.core.multiarray", "_reconstruct") + b"NNN\x87R",
        stand_in("numpy.core.multiarray", "scalar") + b"NN\x86R",
        stand_in("numpy.core.numeric", "_frombuffer") + b"(NNNNtR",
        stand_in("_codecs", "encode") + b"X\1\0\0\0xX\5\0\0\0utf-7\x86R",
        stand_in("builtins", "bytearray") + b"J\xff\xff\xff\x7f\x85R",  # two gigabytes of zeros
        stand_in("builtins", "set") + b"K\1\x85R",
        b"NNR",  # a call of None
        b"K\1)\x81",  # NEWOBJ
        b"})b",  # BUILD on a dict
        b"]K\1\x85}\x86s",
        b"h\0",  # a memo entry that is not there
        b"0",
        b"1",
        b"(",
        b"t",
        b"]a",
        b"}(K\1u",
        b"}]K\1s",  # a list as a key
        b"}" + b")" + b"\x85" * 100_000 + b"K\1s",  # a key whose hash would overflow the C stack
        b"N\x8f\x90",
    ],
)
def test_odd_arguments_and_states_for_what_is_allowed_are_refused(tmp_path: Path, body: bytes) -> None:
    refused(tmp_path, b"\x80\x05" + body + b".")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"NQ", "BINPERSID"),
        (b"Pa\n", "PERSID"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\0", "EXT2"),
        (b"\x84\x01\0\0\0", "EXT4"),
        (b"(ios\nsystem\n", "INST"),
        (b"(o", "OBJ"),
        (b"\x97", "NEXT_BUFFER"),
        (b"]N}\x92", "NEWOBJ_EX"),
        (b"\x8b\xff\xff\xff\x7f", "LONG4"),
    ],
)
def test_instructions_that_reach_outside_the_file_are_refused_by_name(tmp_path: Path, body: bytes, name: str) -> None:
    assert name in refused(tmp_path, b"\x80\x05" + body + b".")


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_of_impossible_characters_is_refused(tmp_path: Path, order: str) -> None:
    text = np.array(["a"], f"{order}U1")
    for value in (text, text[0]):
        content = pickle.dumps(value, 4)
        refused(tmp_path, content.replace(b"a\0\0\0", b"a\0\0\x7f").replace(b"\0\0\0a", b"\x7f\0\0a"))


def test_an_empty_a_truncated_and_a_foreign_file_are_each_a_sentence(tmp_path: Path) -> None:
    assert "0 bytes" in refused(tmp_path, b"")
    content = pickle.dumps(np.arange(500.0), 4)
    for size in (2, 3, 11, 100, len(content) // 2, len(content) - 1):
        assert "truncated" in refused(tmp_path, content[:size])
    for foreign in (b"<html>Not found</html>", b"\x80", b"\x80\6.", pickle.dumps([1], 0)):
        assert "protocol" in refused(tmp_path, foreign)
    assert "holds more after its value" in refused(tmp_path, content + b"more")
    with pytest.raises(UserError, match="is not here"):
        read_pickle(tmp_path / "missing.pkl")
    with pytest.raises(UserError, match="cannot be read"):
        read_pickle(tmp_path)


BOMBS = {
    "bytes of a forged length": b"\x8e" + struct.pack("<Q", 1 << 40),
    "a bytearray of a forged length": b"\x96" + struct.pack("<Q", 1 << 62),
    "text of a forged length": b"\x8d" + struct.pack("<Q", 1 << 63),
    "a frame of a forged length": b"\x95" + struct.pack("<Q", 1 << 40),
    "a forged shape": EMPTY_ARRAY + b"(K\1J\0\0\0\x7fJ\0\0\0\x7f\x86" + F4 + b"R" + STATE % b"K\0" + b"b\x89C\0tb",
    "an endless empty shape": EMPTY_ARRAY
    + b"(K\1K\0J\0\0\0\x7fJ\0\0\0\x7f\x87"
    + F4
    + b"R"
    + STATE % b"K\0"
    + b"b\x89C\0tb",
    "the same text encoded again and again": b"X"
    + struct.pack("<I", 1 << 20)
    + b"x" * (1 << 20)
    + b"r\0\0\0\0"
    + b"X\6\0\0\0latin1q\1"
    + stand_in("_codecs", "encode")
    + b"q\2]"
    + b"h\2h\0h\1\x86Ra" * 20_000,
    "millions of marks": b"(" * 4_000_000,
}


@pytest.mark.parametrize(
    "bomb", [pytest.param(bomb, marks=pytest.mark.slow) if "millions" in bomb else bomb for bomb in BOMBS]
)
def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "bomb.pkl"
    path.write_bytes(b"\x80\x05" + BOMBS[bomb] + b".")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))"
    read = f"from pathlib import Path; from audiocnn.data.pickles import read_pickle; read_pickle(Path({str(path)!r}))"
    command = [sys.executable, "-c", f"{limit}; {read}"]
    done = subprocess.run(command, cwd=ROOT, env=environment(OPENBLAS_NUM_THREADS="1"), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("audiocnn.errors.UserError: ")
    assert "memory" not in done.stderr.splitlines()[-1]


MEASURED = """
import resource, sys, time
from pathlib import Path
from audiocnn.data.pickles import read_pickle
from audiocnn.errors import UserError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
memory, seconds = peak(), time.process_time()
try:
    read_pickle(Path(sys.argv[1]))
except UserError:
    pass
print(time.process_time() - seconds, peak() - memory)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", PICKLE_BOMBS)
def test_time_and_memory_are_bounded_by_the_files_size(tmp_path: Path, name: str) -> None:
    """5 s of a processor and a second for each megabyte; 100 MB and 10 times the file's size."""
    path, content = tmp_path / "bomb.pkl", pickle_bomb(name)
    path.write_bytes(content)
    command = [sys.executable, "-c", MEASURED, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    assert seconds < 5 + len(content) / 1e6
    assert memory < 100e6 + 10 * len(content)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_list_of_a_hundred_thousand_arrays_or_scalars_is_read(tmp_path: Path, protocol: int) -> None:
    arrays = list(np.zeros((100_000, 8, 2), dtype=np.float32))
    assert len(read(tmp_path, pickle.dumps([array.copy() for array in arrays], protocol))) == 100_000
    assert read(tmp_path, pickle.dumps(list(np.arange(100_000)), protocol)) == list(range(100_000))


def test_a_memo_index_of_four_billion_costs_nothing(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(tmp_path, b"\x80\x02Nr\xfe\xff\xff\xff.") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_deep_nesting_and_self_reference_are_only_data(tmp_path: Path) -> None:
    value = read(tmp_path, b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    depth = 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 49_999
    itself = read(tmp_path, b"\x80\x02]q\0h\0a.")
    assert itself[0] is itself


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_flipped_byte_gives_a_sentence_or_a_value_and_nothing_else(tmp_path: Path, protocol: int) -> None:
    value = {"a": [np.arange(6, dtype="f4").reshape(2, 3), np.int64(3), 2.5], 1: (None, True, "x"), "s": {1, 2}}
    content = pickle.dumps(value, protocol)
    generator = random.Random(protocol)
    outcomes = set()
    for _ in range(300):
        at = generator.randrange(len(content))
        changed = content[:at] + bytes([generator.randrange(256)]) + content[at + 1 :]
        try:
            read(tmp_path, changed)
            outcomes.add("value")
        except UserError:
            outcomes.add("sentence")
    assert outcomes == {"value", "sentence"}
