"""Writes compound files (the container of old Office formats and of Outlook's messages)."""

from __future__ import annotations

import struct

_SECTOR, _FREE, _END, _FAT, _NONE = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_SMALLEST = 4096  # shorter streams would live in the mini stream; padded they need none


def write_compound(streams: dict[str, bytes]) -> bytes:
    """One compound file of streams by path, their folders parted by a slash.

    Streams below 4096 bytes go to the mini stream, as readers expect it from the size alone.
    """
    folders = sorted({path.split("/")[0] for path in streams if "/" in path})
    nodes: list[tuple[str, int, bytes, int]] = [("Root Entry", _ROOT, b"", -1)]
    nodes += [(name, _STORAGE, b"", 0) for name in folders]
    for path, data in streams.items():
        folder, _, name = path.rpartition("/")
        nodes.append((name, _STREAM, data, 1 + folders.index(folder) if folder else 0))

    sectors: list[bytes] = []
    chain: list[int] = []
    mini, mini_chain = bytearray(), list[int]()
    starts: list[int] = []
    for _, kind, data, _ in nodes:
        if kind != _STREAM or not data:
            starts.append(_END)
        elif len(data) < _SMALLEST:
            count = -(-len(data) // 64)
            starts.append(len(mini_chain))
            mini_chain += _linked(len(mini_chain), count)
            mini += data.ljust(64 * count, b"\0")
        else:
            starts.append(_add(sectors, chain, data))
    starts[0] = _add(sectors, chain, bytes(mini)) if mini else _END
    mini_fat = struct.pack(f"<{len(mini_chain)}I", *mini_chain)
    mini_start = _add(sectors, chain, _padded(mini_fat, b"\xff")) if mini else _END
    mini_sectors = -(-len(mini_fat) // _SECTOR)

    directory = b"".join(_entry(nodes, at, starts[at], len(mini)) for at in range(len(nodes)))
    directory_start = _add(sectors, chain, _padded(directory, b"\0"))

    fats = 1
    while fats * 128 < len(chain) + fats:
        fats += 1
    chain += [_FAT] * fats
    fat_at = list(range(len(sectors), len(sectors) + fats))
    fat = struct.pack(f"<{len(chain)}I", *chain).ljust(fats * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16x5H6x9I",
        bytes.fromhex("d0cf11e0a1b11ae1"), 0x3E, 3, 0xFFFE, 9, 6,
        0, fats, directory_start, 0, _SMALLEST, mini_start, mini_sectors, _END, 0,
    )  # fmt: skip
    header += struct.pack("<109I", *(fat_at + [_FREE] * (109 - fats)))
    return header + b"".join(sectors) + fat


def _add(sectors: list[bytes], chain: list[int], data: bytes) -> int:
    """Append a stream's sectors and their chain; where it starts."""
    start, data = len(sectors), _padded(data, b"\0")
    sectors += [data[at : at + _SECTOR] for at in range(0, len(data), _SECTOR)]
    chain += _linked(start, len(sectors) - start)
    return start


def _linked(start: int, count: int) -> list[int]:
    return [*range(start + 1, start + count), _END]


def _padded(data: bytes, filler: bytes) -> bytes:
    return data.ljust(-(-len(data) // _SECTOR) * _SECTOR, filler)


def _entry(nodes: list[tuple[str, int, bytes, int]], at: int, start: int, mini: int) -> bytes:
    """One line of the directory. Siblings hang one on the other in the order readers compare."""
    name, kind, data, parent = nodes[at]

    def family(of: int) -> list[int]:
        children = [child for child, node in enumerate(nodes) if node[3] == of]
        return sorted(children, key=lambda child: (len(nodes[child][0]), nodes[child][0].upper()))

    siblings = family(parent) if parent >= 0 else [at]
    later = siblings[siblings.index(at) + 1 :]
    children = family(at)
    encoded = name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII16xI16xIQ",
        encoded, len(encoded), kind, 1, _NONE,
        later[0] if later else _NONE,
        children[0] if children else _NONE,
        0, start, mini if kind == _ROOT else len(data),
    )  # fmt: skip
