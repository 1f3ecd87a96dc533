"""A torn tail is cut and kept aside; damage before it is refused and left alone."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from kron.core.errors import ForeignLog, LogCorrupt, LogTooNew, StorageError
from kron.storage.file import FileLog
from kron.storage.lines import encode_record, seed_of
from kron.storage.log import Record, Torn
from kron.storage.reader import LogReader


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def log_id_of(content: bytes) -> str:
    return json.loads(lines_of(content)[0][11:])["log_id"]


def put(data_dir: Path, content: bytes) -> Path:
    data_dir.mkdir(mode=0o700, exist_ok=True)
    path = data_dir / "kron.aof"
    path.write_bytes(content)
    return path


async def reopened(data_dir: Path, **options: object) -> tuple[Torn | None, list[Record]]:
    log = FileLog(data_dir, fsync="never", **options)  # type: ignore[arg-type]
    torn = await log.open()
    try:
        return torn, await log.read(0, 1000)
    finally:
        await log.close()


async def refused(data_dir: Path, content: bytes, error: type[Exception], words: str) -> None:
    path = put(data_dir, content)
    before = sorted(entry.name for entry in data_dir.iterdir())
    with pytest.raises(error, match=words) as raised:
        await FileLog(data_dir).open()
    assert "kron.aof" in str(raised.value)
    assert path.read_bytes() == content
    assert {entry.name for entry in data_dir.iterdir()} - {"kron.lock"} <= {*before}
    with pytest.raises(error, match=words):
        list(LogReader(data_dir))


async def check_cut(data_dir: Path, whole: bytes, tail: bytes, payloads: list[bytes]) -> None:
    """The tail goes, the records stay, an append works, and the next open finds nothing torn."""
    path = put(data_dir, whole + tail)
    records = [Record(index, payload) for index, payload in enumerate(payloads, 1)]
    reader = LogReader(data_dir)
    assert list(reader) == records and reader.torn_bytes == len(tail)
    assert (reader.problem is None) == (not tail) and path.read_bytes() == whole + tail
    log = FileLog(data_dir, fsync="never")
    torn = await log.open()
    assert path.read_bytes() == whole
    if tail:
        assert torn is not None
        assert torn[:3] == (str(path), len(whole), len(tail))
        assert Path(torn.kept_as).read_bytes() == tail
        assert os.stat(torn.kept_as).st_mode & 0o777 == 0o600
        os.unlink(torn.kept_as)
    else:
        assert torn is None
    await log.append(len(records) + 1, b'["after"]')
    await log.close()
    assert await reopened(data_dir) == (None, [*records, Record(len(records) + 1, b'["after"]')])


async def test_a_last_record_cut_anywhere_is_torn(data_dir, written, payloads) -> None:
    *whole, last = lines_of(await written())
    for size in range(len(last)):
        await check_cut(data_dir, b"".join(whole), last[:size], payloads[:2])


@pytest.mark.parametrize(
    "tail",
    [
        b"\0" * 5000,
        b"\0" * 3_000_000,
        b"\n\n\n",
        b"garbage\nand more\n",
        b"0badc0de 4 [4]\n",
        b"\xff\xfe\xe2\x98",
        b"0badc0de 4 [4]\n0badc0de 5 [5]\n0bad",
        b"00000000 1 [" * 500,
    ],
)
async def test_what_was_never_a_record_is_torn(data_dir, written, payloads, tail) -> None:
    await check_cut(data_dir, await written(), tail, payloads)


async def test_a_record_of_another_log_is_torn(data_dir, written, payloads) -> None:
    other = encode_record(seed_of("0" * 32), 4, b"[4]")
    await check_cut(data_dir, await written(), other, payloads)


async def test_a_log_of_a_header_alone_loses_only_its_tail(data_dir, written) -> None:
    header, first, *_ = lines_of(await written())
    await check_cut(data_dir, header, first[:-1], [])


async def test_two_tails_at_one_offset_are_both_kept(data_dir, written) -> None:
    content = await written()
    kept = set()
    for tail in (b"one", b"two"):
        put(data_dir, content + tail)
        torn, _ = await reopened(data_dir)
        assert torn is not None and Path(torn.kept_as).read_bytes() == tail
        kept.add(torn.kept_as)
    assert len(kept) == 2


async def test_a_tail_is_kept_and_synced_before_it_is_cut(data_dir, written, disk) -> None:
    path = put(data_dir, await written() + b"torn")
    disk.fail = {"fsync": errno.EIO}
    with pytest.raises(StorageError):
        await reopened(data_dir, disk=disk)
    assert path.read_bytes().endswith(b"torn")
    assert (await reopened(data_dir))[0] is not None


async def test_a_full_disk_does_not_stop_a_start_with_a_torn_tail(
    data_dir, written, disk, payloads
) -> None:
    put(data_dir, await written() + b"torn")
    disk.fail = {"write": errno.ENOSPC}
    torn, records = await reopened(data_dir, disk=disk)
    assert torn is not None and torn.kept_as == "" and len(records) == len(payloads)
    assert not list(data_dir.glob("*.torn-*"))


async def test_a_flipped_bit_is_refused_or_costs_the_last_record(
    data_dir, written, payloads
) -> None:
    content = await written()
    records = [Record(index, payload) for index, payload in enumerate(payloads, 1)]
    last_at = len(content) - len(lines_of(content)[-1])
    path = put(data_dir, content)
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                found = list(LogReader(data_dir))
            except (LogCorrupt, ForeignLog) as exc:
                assert position < last_at and isinstance(exc, LogCorrupt), (position, bit)
            else:
                assert position >= last_at and found == records[:-1], (position, bit)


async def test_a_flipped_newline_glues_no_record_away(data_dir, written) -> None:
    content = await written()
    at = len(b"".join(lines_of(content)[:3])) - 1
    assert content[at : at + 1] == b"\n"
    for end in (len(content), len(content) - 1):
        glued = content[:at] + b"\x0b" + content[at + 1 : end]
        offset = len(b"".join(lines_of(content)[:2]))
        await refused(data_dir, glued, LogCorrupt, f"damaged at byte {offset}, where record 2")


async def test_a_valid_record_far_behind_the_damage_is_found(data_dir, written) -> None:
    content = await written()
    whole, last = content[: -len(lines_of(content)[-1])], lines_of(content)[-1]
    for gap in (10, (1 << 20) - 5, (1 << 21) - 20, 3_000_000):
        await refused(data_dir, whole + b"\0" * gap + last, LogCorrupt, "record 3 follows at byte")


async def test_a_gap_and_a_repeated_index_are_refused(data_dir, written) -> None:
    header, one, two, three = lines_of(await written())
    await refused(data_dir, header + one + three, LogCorrupt, "record 3 follows record 1")
    await refused(data_dir, header + one + one + two, LogCorrupt, "record 1 follows record 1")
    await refused(data_dir, header + two, LogCorrupt, "record 2 follows record 0")


async def test_a_missing_or_damaged_header_is_refused(data_dir, written) -> None:
    header, *records = lines_of(await written())
    await refused(data_dir, b"", LogCorrupt, "header at byte 0 is missing")
    await refused(data_dir, b"".join(records), LogCorrupt, "header at byte 0 is damaged")
    await refused(data_dir, header[:-1], LogCorrupt, "header at byte 0 has no end")
    await refused(data_dir, header[:40], LogCorrupt, "header at byte 0 is damaged")


def header_with(**changes: object) -> bytes:
    fields = {"magic": "kron-log", "format": 1, "log_id": "a" * 32, "base": 0, **changes}
    payload = json.dumps(fields).encode()
    return encode_record(seed_of("kron-log"), fields["base"], payload)  # type: ignore[arg-type]


async def test_a_newer_format_is_refused_naming_both_versions(data_dir) -> None:
    assert await reopened((put(data_dir, header_with())).parent) == (None, [])
    await refused(data_dir, header_with(format=2), LogTooNew, "format 2.* up to 1")
    await refused(data_dir, header_with(log_id="A"), LogCorrupt, "contradicts itself")


async def test_the_log_of_the_rust_kron_is_named(data_dir) -> None:
    line = b'{"v":1,"ts":"2026-11-21T10:39:49.398713693Z","event":{"type":"TIMER_CREATED"}}\n'
    await refused(data_dir, line * 3, ForeignLog, "another program that calls itself Kron")
    await refused(data_dir, line[:60], ForeignLog, "Rust")


@pytest.mark.parametrize("content", [b"hello\n", b"\0" * 100, b"PK\x03\x04", b"{}\n", b"\n"])
async def test_a_file_of_another_kind_is_foreign(data_dir, content) -> None:
    words = "not a Kron log" if content != b"\n" else "header at byte 0 is missing"
    await refused(data_dir, content, ForeignLog if content != b"\n" else LogCorrupt, words)


async def test_other_files_of_the_rust_kron_are_named(data_dir, written) -> None:
    await written()
    snapshot = data_dir / "kron.snapshot"
    snapshot.write_text('{\n  "v": 1,\n  "format_version": 1,\n  "engine_version": "0.1.1"\n}')
    for marker in (snapshot, data_dir / "kron.cluster.json", data_dir / "raft"):
        if marker.name == "raft":
            marker.mkdir()
        elif marker != snapshot:
            marker.write_text("{}")
        with pytest.raises(ForeignLog, match=f"{marker.name} was written by another program"):
            await FileLog(data_dir).open()
        with pytest.raises(ForeignLog):
            LogReader(data_dir)
        marker.rmdir() if marker.name == "raft" else marker.unlink()
    snapshot.write_text("ours")
    assert (await reopened(data_dir))[0] is None
