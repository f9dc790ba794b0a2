#!/usr/bin/env python3
"""What `pannier inspect` says of libraries, compared with what readelf, nm and llvm-readobj say of the same files.

usage: facts_test.py PANNIER DATA_FOLDER [LIBRARY...]
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def elf_judge(library):
    """Build id, libraries needed, and functions with sizes, by readelf."""
    notes = output("readelf", "-nW", library)
    build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)
    needed = re.findall(r"\(NEEDED\) +Shared library: \[(.*)\]", output("readelf", "-dW", library))
    functions = {}
    exported = set()
    mask = ~1 if is_arm(library) else ~0  # the lowest bit tells of Thumb code
    for line in output("readelf", "-sW", library).splitlines():
        table = re.match(r"Symbol table '(.*)'", line)
        if table:
            is_dynamic = table[1] == ".dynsym"
        fields = line.split()
        if len(fields) < 8 or fields[3] not in ("FUNC", "IFUNC") or fields[6] == "UND":
            continue
        name = fields[7].split("@")[0]
        functions[(name, int(fields[1], 16) & mask)] = int(fields[2], 0)
        if is_dynamic and fields[4] != "LOCAL":
            exported.add(name)
    return {"build_id": build_id and build_id[1], "needed": needed, "functions": functions, "exported": exported}


def is_arm(library):
    with open(library, "rb") as file:
        header = file.read(20)
    return header[:4] == b"\x7fELF" and header[18:20] == b"\x28\0"


def macho_judge(library):
    headers = output("llvm-objdump", "--macho", "--private-headers", library)
    uuid = re.search(r"uuid +([0-9A-F-]+)", headers)
    commands = headers.split("Load command ")[1:]
    needed = [re.search(r"name (.*) \(offset", command)[1] for command in commands
              if re.search(r"cmd LC_(LOAD|LOAD_WEAK|REEXPORT|LAZY_LOAD|LOAD_UPWARD)_DYLIB\b", command)]
    functions = set()
    exported = set()
    for line in output("llvm-nm", "--format=bsd", library).splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT":
            name = fields[2].removeprefix("_")
            functions.add((name, int(fields[0], 16)))
            if fields[1] == "T":
                exported.add(name)
    return {"build_id": uuid and uuid[1].replace("-", "").lower(), "needed": needed, "functions": functions, "exported": exported}


def pe_judge(library):
    exported = set(re.findall(r"Name: (\S+)\n +RVA", output("llvm-readobj", "--coff-exports", library)))
    needed = re.findall(r"^  Name: (\S+)", output("llvm-readobj", "--coff-imports", library), re.M)
    sizes = {}
    if "IMAGE_FILE_MACHINE_AMD64" in output("llvm-readobj", "--file-headers", library):
        for start, end in re.findall(r"StartAddress: .*\((0x[0-9A-F]+)\)\n +EndAddress: .*\((0x[0-9A-F]+)\)",
                                     output("llvm-readobj", "--unwind", library)):
            sizes[int(start, 16) & 0xFFFFFFF] = int(end, 16) - int(start, 16)
    return {"needed": needed, "exported": exported, "sizes": sizes}


def compare(what, found, expected):
    assert found == expected, f"{what}:\n  found    {found}\n  expected {expected}"


def check(pannier, library, bundle):
    found = json.loads(output(pannier, "inspect", "--json", bundle))["library"]
    functions = {(function["name"], function["address"]): function["bytes"] for function in found["functions"]}
    exported = {function["name"] for function in found["functions"] if function["exported"]}
    compare("counts", (found["function_count"], found["exported_count"]),
            (len(found["functions"]), sum(function["exported"] for function in found["functions"])))
    if found["format"] == "elf":
        expected = elf_judge(library)
        compare("functions", set(functions), set(expected["functions"]))
        for key, size in expected["functions"].items():
            if size != 0:
                compare(f"size of {key}", functions[key], size)
        compare("build id", found["build_id"], expected["build_id"])
    elif found["format"] == "macho":
        expected = macho_judge(library)
        compare("functions", set(functions), set(expected["functions"]))
        compare("build id", found["build_id"], expected["build_id"])
    else:
        expected = pe_judge(library)
        for name, address in functions:
            if address in expected["sizes"]:
                compare(f"size of {name}", functions[(name, address)], expected["sizes"][address])
        assert expected["sizes"] or found["bits"] == 32, "no sizes to compare with"
    compare("needed", found["needed"], expected["needed"])
    compare("exported functions", exported, expected["exported"] & {name for name, _ in functions})  # no data
    return len(functions)


def main():
    pannier, data, *libraries = sys.argv[1:]
    libraries = libraries or sorted(map(str, pathlib.Path(data, "mlp").glob("*/lib.*")))
    graph = pathlib.Path(data, "mlp", "graph.json")
    functions = checked = 0
    with tempfile.TemporaryDirectory() as folder:
        for library in libraries:
            bundle = f"{folder}/bundle"
            done = subprocess.run([pannier, "embed", library, "--graph", graph, "-o", bundle, "--quiet"], check=False,
                                  capture_output=True, text=True)
            if done.returncode != 0:
                print(f"not a host: {library}: {done.stderr.strip()}")
                continue
            try:
                functions += check(pannier, library, bundle)
            except AssertionError as error:
                sys.exit(f"{library}: {error}")
            checked += 1
    assert checked >= min(len(libraries), 9), "too few libraries"
    print(f"{checked} libraries, {functions} functions: ok")


main()
