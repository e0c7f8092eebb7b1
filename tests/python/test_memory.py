"""MemoryStore: what one process stores the next one finds, until its time is over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG
from pytest_qe.errors import HistoryError
from pytest_qe.memory import Memory, MemoryStore, settled

ROOT = Path(__file__).parents[2]


def use(path: Path, body: Callable[[MemoryStore], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with MemoryStore(path) as memory:
            return await body(memory)

    return asyncio.run(main())


def python(program: str, *args: str, cwd: Path, check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        cwd=cwd, capture_output=True, text=True, timeout=HUNG,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_stored_is_retrieved_replaced_searched_and_deleted(tmp_path: Path) -> None:
    value = {"list": [1, None, 1.5, "ä\0\ud800"]}

    async def body(memory: MemoryStore) -> None:
        assert await memory.retrieve("aqe/a") is None
        await memory.store("aqe/a", value)
        await memory.store("aqe/b", 0)
        await memory.store("other", (1, 2))
        assert await memory.retrieve("aqe/a") == value
        assert await memory.retrieve("other") == [1, 2]
        assert await memory.search("aqe/*") == {"aqe/a": value, "aqe/b": 0}
        assert await memory.search("aqe/[b-z]") == {"aqe/b": 0}
        await memory.store("aqe/b", "new")
        assert await memory.retrieve("aqe/b") == "new"
        assert await memory.delete("aqe/b") is True
        assert await memory.delete("aqe/b") is False
        assert await memory.retrieve("aqe/b") is None

    use(tmp_path / "deep" / "m.db", body)


def test_what_has_expired_is_gone(tmp_path: Path) -> None:
    async def body(memory: MemoryStore) -> None:
        await memory.store("soon", 1, ttl=1e-9)
        await memory.store("later", 2, ttl=3600)
        await memory.store("never", 3, ttl=float("inf"))
        assert await memory.retrieve("soon") is None
        assert await memory.search("*") == {"later": 2, "never": 3}
        await memory.gc()
        assert await memory.delete("soon") is False

    use(tmp_path / "m.db", body)


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), [float("inf")], b"bytes", nested(200_000)],
    ids=["set", "object", "nan", "inf", "bytes", "nested"],
)  # fmt: skip
def test_what_json_cannot_say_is_one_clear_type_error(tmp_path: Path, value: Any) -> None:
    async def body(memory: MemoryStore) -> None:
        with pytest.raises(TypeError, match=r"^value of 'key': takes what JSON can say: .+\Z"):
            await memory.store("key", value)
        assert await memory.retrieve("key") is None

    use(tmp_path / "m.db", body)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    async def body(memory: MemoryStore) -> None:
        for ttl in (0, -1, float("nan")):
            with pytest.raises(ValueError, match=r"^ttl: takes more than 0 seconds"):
                await memory.store("key", 1, ttl=ttl)
        for wrong in (True, "60"):
            with pytest.raises(TypeError, match=r"^ttl: takes seconds, or None for ever, not "):
                await memory.store("key", 1, ttl=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^key: takes a str, not int"):
            await memory.store(5, 1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^key: takes text without a NUL character"):
            await memory.retrieve("a\0b")
        with pytest.raises(ValueError, match=r"^key: takes text, not the lone surrogates"):
            await memory.retrieve("\ud800")
        memory.close()
        with pytest.raises(ValueError, match=r"^the store is closed"):
            await memory.retrieve("key")

    use(tmp_path / "m.db", body)


def test_a_damaged_file_is_named_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    path.write_text("no database" * 1000)

    async def body(memory: MemoryStore) -> None:
        with pytest.raises(HistoryError, match=r"bad\.db: "):
            await memory.store("key", 1)

    use(path, body)
    assert path.read_text() == "no database" * 1000


def test_it_is_a_memory_and_so_is_what_has_its_methods_plain_or_async() -> None:
    class Plain:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def store(self, key: str, value: Any, ttl: float | None = None) -> None:
            self.kept[key] = value

        def retrieve(self, key: str) -> Any:
            return self.kept.get(key)

        async def delete(self, key: str) -> bool:
            return self.kept.pop(key, None) is not None

        async def search(self, pattern: str) -> dict[str, Any]:
            return self.kept

    async def body(memory: Memory) -> None:
        await settled(memory.store("a", 1))
        assert await settled(memory.retrieve("a")) == 1
        assert await settled(memory.delete("a")) is True

    assert isinstance(Plain(), Memory)
    assert isinstance(MemoryStore("unused.db"), Memory)
    assert not isinstance({}, Memory)
    asyncio.run(body(Plain()))


def test_tasks_and_threads_share_one(tmp_path: Path) -> None:
    memory = MemoryStore(tmp_path / "m.db")
    failed = []

    async def body(name: str) -> None:
        await asyncio.gather(*(memory.store(f"{name}/{i}", i) for i in range(5)))

    def thread(name: str) -> None:
        try:
            asyncio.run(body(name))
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=thread, args=(name,)) for name in "abcd"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed
    assert len(asyncio.run(memory.search("*"))) == 20
    memory.close()


def test_a_fork_leaves_parent_and_child_each_a_store_of_their_own(tmp_path: Path) -> None:
    """Also while another thread is in the middle of a put."""
    program = """
import asyncio, os, signal, sys, threading
from pytest_qe.memory import MemoryStore
memory = MemoryStore("m.db")
done = threading.Event()
def busy():
    for i in range(60):
        asyncio.run(memory.store("busy", "x" * 100_000))
    done.set()
thread = threading.Thread(target=busy)
thread.start()
children = []
while not done.is_set() and len(children) < 8:
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(30)  # one that hangs ends
            asyncio.run(memory.store(f"child/{len(children)}", 1))
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(repr(error))
            os._exit(1)
    children.append(os.waitpid(pid, 0)[1])
thread.join()
assert children and not any(children), children
found = asyncio.run(memory.search("*"))
assert found["busy"] == "x" * 100_000
assert len(found) == len(children) + 1, found.keys()
"""
    python(program, cwd=tmp_path)


def test_processes_share_it_and_one_that_is_killed_spoils_nothing(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pytest_qe.memory import MemoryStore
async def main():
    memory = MemoryStore("m.db")
    i = 0
    while True:
        await memory.store(f"{sys.argv[1]}/{i % 5}", [i] * 2000, ttl=100)
        print(flush=True)
        i += 1
asyncio.run(main())
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, name], cwd=tmp_path, stdout=subprocess.PIPE
        )
        for name in "abc"
    ]
    for process in running:
        assert process.stdout is not None
        for _ in range(3):  # each has stored, while all do
            assert process.stdout.readline() == b"\n"
        process.send_signal(signal.SIGKILL)
    for process in running:
        process.communicate()

    async def body(memory: MemoryStore) -> None:
        found = await memory.search("*")
        assert {key[0] for key in found} == {"a", "b", "c"}
        assert all(value == [value[0]] * 2000 for value in found.values())

    use(tmp_path / "m.db", body)


WHERE = "from pytest_qe.memory import MemoryStore; print(MemoryStore().path)"


def test_the_default_is_the_history_of_the_project_here_or_above(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert python(WHERE, cwd=deep).strip() == str(deep / ".qe" / "history.db")
    assert not (deep / ".qe").exists()
    (tmp_path / ".qe").mkdir()
    assert python(WHERE, cwd=deep).strip() == str(tmp_path / ".qe" / "history.db")
    python(
        "import asyncio; from pytest_qe.memory import MemoryStore\n"
        "asyncio.run(MemoryStore().store('key', 1))",
        cwd=deep,
    )
    assert (tmp_path / ".qe" / "history.db").is_file()
    assert (tmp_path / ".qe" / ".gitignore").is_file()
    # A nearer folder that holds no history does not hide it.
    (tmp_path / "a" / ".qe").mkdir()
    assert python(WHERE, cwd=deep).strip() == str(tmp_path / ".qe" / "history.db")


def test_node_reads_what_python_has_stored(tmp_path: Path) -> None:
    if not (ROOT / "prebuilds").is_dir():
        pytest.skip("the addon for Node is not built: make build/addon.stamp")
    value = {"text": "ä\U0001f600\0", "list": [1.5, None, True]}

    async def write(memory: MemoryStore) -> None:
        await memory.store("aqe/python", value, ttl=60)
        await memory.store("aqe/gone", 1, ttl=1e-9)

    use(tmp_path / "m.db", write)
    program = f"""
const memory = new (require({json.dumps(str(ROOT))}).MemoryStore)('m.db');
memory.search('aqe/*').then((found) => console.log(JSON.stringify(found)));
"""
    done = subprocess.run(
        ["node", "-e", program], cwd=tmp_path, capture_output=True, text=True, timeout=HUNG
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"aqe/python": value}


def test_the_plugin_does_not_import_it(tmp_path: Path) -> None:
    found = python(
        "import sys, pytest_qe.plugin\n"
        "print([m for m in sys.modules if m.startswith(('pytest_qe.memory', 'pytest_qe.agents'))])",
        cwd=tmp_path,
    )
    assert found.strip() == "[]"
    assert os.listdir(tmp_path) == []
