#!/usr/bin/env python3
"""What Windows and tools demand of a PE file's sections: no hole in the addresses, raw data in order, sizes that follow from them.

usage: pe_rules.py FILE              prints what is broken, and exits with 1
       pe_rules.py --crowd FILE OUT  moves the headers of FILE up, so that none of the bytes behind the section headers is left over
"""
import struct
import sys


def headers(data):
    at, = struct.unpack_from("<I", data, 60)
    count, = struct.unpack_from("<H", data, at + 6)
    optional, = struct.unpack_from("<H", data, at + 20)
    return at, at + 24, at + 24 + optional, count


def findings(data):
    signature, optional, table, count = headers(data)
    assert data[signature:signature + 4] == b"PE\0\0", "no PE header"
    align, file_align = struct.unpack_from("<II", data, optional + 32)
    image_size, headers_size = struct.unpack_from("<II", data, optional + 56)
    address, raw_end = None, headers_size
    if table + 40 * count > headers_size:
        yield "section headers beyond SizeOfHeaders"
    for i in range(count):
        name, virtual_size, start, raw_size, raw = struct.unpack_from("<8sIIII", data, table + 40 * i)
        if i == 0 and start < headers_size:
            yield "headers reach into the first section"
        if address not in (None, start):
            yield f"section {i} {name}: address {start:#x}, expected {address:#x}"
        address = -(-(start + (virtual_size or raw_size)) // align) * align
        if raw_size and raw:
            if raw < raw_end or raw % file_align or raw + raw_size > len(data):
                yield f"section {i} {name}: raw data at {raw:#x}, expected a multiple of {file_align} from {raw_end:#x}, within the file"
            raw_end = raw + raw_size
    if image_size != address:
        yield f"SizeOfImage {image_size:#x}, expected {address:#x}"


def crowd(data):
    data = bytearray(data)
    signature, optional, table, count = headers(data)
    end = table + 40 * count
    headers_size, = struct.unpack_from("<I", data, optional + 60)
    move = (headers_size - end) // 8 * 8
    data[signature + move:end + move] = data[signature:end]
    data[signature:signature + move] = b"\x11" * move
    struct.pack_into("<I", data, 60, signature + move)
    return data


def main():
    if sys.argv[1] == "--crowd":
        with open(sys.argv[2], "rb") as source, open(sys.argv[3], "wb") as out:
            out.write(crowd(source.read()))
        return 0
    with open(sys.argv[1], "rb") as file:
        broken = list(findings(file.read()))
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
