"""Report: docs/benchmarks.md and its plots, out of the results, and of notes.md beside them: what people found out about them."""

import dataclasses
import pathlib
from collections.abc import Iterable

import svg

MIB = 1 << 20
MARGIN = 0.05  # points of saved size that may be missing
THRESHOLD = 1 / 64  # what encoding has to save for a tensor not to stay as it is (embedder/content/chunk_encoder.h, Gains)
OURS = "pannier auto"
PEERS = ("zstd", "blosc2", "ZipNN", "OpenZL")


def table(head: list[str], rows: Iterable[list]) -> str:
    body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    align = ["---" if i == 0 else "---:" for i in range(len(head))]
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join(align) + " |", *body, ""])


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def mib(kib: float | None) -> str:
    return "-" if kib is None else f"{kib / 1024:,.0f}" if kib >= 10240 else f"{kib / 1024:.1f}"


def saved(size: int, original: int) -> float:
    return 100 * (1 - size / original)


@dataclasses.dataclass
class Aim:
    aim: str
    measured: str
    met: bool | None  # None: not measured

    def row(self) -> list[str]:
        return [self.aim, self.measured, {True: "met", False: "**missed**", None: "not measured"}[self.met]]


# ------------------------------------------------------------------------------------------------------- the aims


def family_best(entry: dict, family: str) -> float | None:
    """The most that one of the family's codecs saves."""
    found = [saved(codec["size"], entry["bytes"]) for name, codec in entry["codecs"].items() if name.startswith(family)]
    return max(found, default=None)


def our_saved(entry: dict, codec: str = "auto", level: int = 3) -> float:
    """Of what the bundle takes."""
    return saved(entry["stored"][f"{codec} {level}"], entry["bytes"])


def codec_aims(entries: list[dict]) -> list[Aim]:
    label = "saved: at least the best of ZipNN, OpenZL, blosc2, zstd -19, less 0.05 points, each model and dtype"
    total = "saved, in total: more than the best of them"
    compared = [(entry, best)
                for entry in entries
                if (best := max((b for f in PEERS if (b := family_best(entry, f)) is not None), default=None)) is not None]
    if not compared:
        aims = [Aim(label, "no peer there", None), Aim(total, "no peer there", None)]
    else:
        short = [(our_saved(entry) - best, entry) for entry, best in compared if our_saved(entry) < best - MARGIN]
        worst = "; ".join(f"{entry['model']} {entry['dtype']} {gap:+.2f}" for gap, entry in sorted(short, key=lambda pair: pair[0]))
        aims = [
            Aim(label, f"{len(compared) - len(short)} of {len(compared)}" + (f"; short by points: {worst}" if worst else ""),
                not short)
        ]
        everything = sum(entry["bytes"] for entry, _ in compared)
        ours = sum(entry["stored"]["auto 3"] for entry, _ in compared)
        theirs = {
            family:
                sum(
                    min(codec["size"]
                        for name, codec in entry["codecs"].items()
                        if name.startswith(family))
                    for entry, _ in compared) for family in PEERS if all(
                        family_best(entry, family) is not None for entry, _ in compared)
        }
        if theirs:
            family = min(theirs, key=theirs.get)
            aims.append(
                Aim(
                    total, f"{saved(ours, everything):.2f} % against {saved(theirs[family], everything):.2f} % ({family}, its best "
                    f"codec for each)", ours < theirs[family]))
        else:
            aims.append(Aim(total, "no peer there for all", None))
    aims += [
        zipnn_aim(entries, "encode", "encode {threads}t", 2.0),
        zipnn_aim(entries, "decode into fresh memory (huge pages, as the loader's)", "decode {threads}t fresh", 1.3, "decode {threads}t huge"),
        zipnn_aim(entries, "decode into fresh memory (pages of 4 KiB)", "decode {threads}t fresh", 1.3)
    ]
    beyond = [((entry["stored"][f"auto {level}"] - entry["stored"][f"{codec} {level}"]) / entry["bytes"], entry, f"{codec} {level}")
              for entry in entries
              for codec in ("store", "zstd", "planes")
              for level in levels_of(entry)]
    worst = max(beyond, key=lambda found: found[0])
    aims.append(
        Aim(
            "`auto` never larger than any single codec at its level by more than the threshold (1/64)",
            f"at most {100 * worst[0]:+.2f} % of the original ({worst[1]['model']} {worst[1]['dtype']}, {worst[2]})",
            worst[0] <= THRESHOLD))
    return aims


def levels_of(entry: dict) -> list[int]:
    return sorted({int(name.split()[1]) for name in entry["stored"]})


def zipnn_aim(entries: list[dict], what: str, step: str, factor: float, our_step: str = "") -> Aim:
    """Of all models together, for each dtype; 1 thread by CPU time, 2 threads by the clock."""
    label = f"{what}: at least {factor:g} times ZipNN's speed"
    ratios = {}
    for dtype in dict.fromkeys(entry["dtype"] for entry in entries):
        for threads, clock in ((1, "cpu"), (2, "wall")):
            name = step.format(threads=threads)
            our_name = (our_step or step).format(threads=threads)
            pairs = [(zipnn["steps"][name][clock], entry["codecs"][OURS]["steps"][our_name][clock])
                     for entry in entries
                     if entry["dtype"] == dtype and (zipnn := entry["codecs"].get("ZipNN" + " (as fp8)" * (dtype == "int8")))]
            if pairs:
                ratios[f"{dtype} {threads}t"] = sum(theirs for theirs, _ in pairs) / sum(ours for _, ours in pairs)
    if not ratios:
        return Aim(label, "ZipNN is not there", None)
    return Aim(label, ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), min(ratios.values()) >= factor)


def embedding_aims(results: dict) -> list[Aim]:
    cat, ours = (results["large"]["tools"][name] for name in ("cat", "pannier --codec store"))
    ratio = ours["wall"] / cat["wall"]
    aims = [
        Aim("embed with `store`: at most 1.15 times `cat && sync`", f"{ratio:.2f} times ({results['large']['bytes'] // MIB} MiB)",
            ratio <= 1.15),
        Aim("embed with `store`: at most 32 MiB of memory", f"{mib(ours['peak'])} MiB",
            ours["peak"] <= 32 * 1024 if ours["peak"] else None),
    ]
    peaks = {
        (codec, row["tensors"]): cost["peak"] for rows in (results["payload"], results["tensors"])
        for row in rows
        for codec, cost in row["codecs"].items()
        if cost["peak"]
    }
    if peaks:
        worst = max(peaks, key=peaks.get)
        aims.append(
            Aim("embed, any codec, payload and tensors: at most 64 MiB beyond the host",
                f"at most {mib(peaks[worst])} MiB in all ({worst[0]}, {worst[1]:,} tensors)", peaks[worst] <= 64 * 1024))
    return aims


def loading_aims(results: dict) -> list[Aim]:
    beyond = [(row["load_bundle"][0] - row["dlopen_host"][0], row) for row in results["dlopen"]]
    few = max((pair for pair in beyond if pair[1]["tensors"] <= 1000), key=lambda pair: pair[0])
    many = max(beyond, key=lambda pair: pair[1]["tensors"])
    aims = [
        Aim(
            "LoadBundle of stored params within 100 microseconds of dlopen, up to 1,000 tensors of any size",
            f"at most +{few[0]:.0f} ({few[1]['tensors']:,} tensors, {few[1]['bytes'] / 1e6:,.0f} MB); "
            f"{many[1]['tensors']:,} tensors: "
            f"+{many[0]:.0f}", few[0] <= 100)
    ]
    ways = results["others"][0]["ways"]
    ours, tvm = ways["pannier, stored"], ways["TVM load_param_dict_from_file"]
    aims.append(
        Aim("load of stored params at least 50 times faster than load_param_dict_from_file",
            f"{tvm['ready'] / ours['ready']:,.0f} times" if tvm else "TVM is not there",
            tvm["ready"] >= 50 * ours["ready"] if tvm else None))
    aims.append(
        Aim(
            "... and no anonymous memory",
            f"{ours['anonymous']} KiB, all read ({results['others'][0]['bytes'] / 1e6:,.0f} MB; bare "
            f"dlopen {ways['dlopen of the bare host']['anonymous']} KiB)", ours["anonymous"] < 1024))
    ratios = [(case["ways"]["compressed, decoded"]["all"] / min(case["ways"][way]["all"]
                                                                for way in ("stored, mapped", "stored, read() into memory")),
               case["title"])
              for case in results["cold"]]
    aims.append(
        Aim("decode of a cold compressed bundle no slower than reading the uncompressed one (the faster of map and read)",
            "; ".join(f"{title}: {ratio:.2f} times as long" for ratio, title in ratios),
            max(ratios)[0] <= 1))
    return aims


def all_aims(results: dict) -> list[Aim]:
    aims = []
    if entries := results.get("codecs", {}).get("entries"):
        aims += codec_aims(entries)
    if "embedding" in results:
        aims += embedding_aims(results["embedding"])
    if "loading" in results:
        aims += loading_aims(results["loading"])
    if "trust" in results:
        aims += trust_aims(results["trust"])
    return aims


# ------------------------------------------------------------------------------------------------------- the parts


def embedding_part(results: dict) -> list[str]:

    def tools_table(part: dict) -> str:
        cat = part["tools"]["cat"]
        rows = []
        for name, cost in part["tools"].items():
            if cost is None:
                rows.append([name, "not there", "", "", "", ""])
            else:
                rows.append([
                    name,
                    seconds(cost["wall"]), f"{cost['wall'] / cat['wall']:.2f}",
                    seconds(cost["cpu"]),
                    mib(cost["peak"]), cost["runs"]
                ])
        return table(["tool", "seconds", "x cat", "CPU s", "peak MiB", "runs"], rows)

    def growth_table(rows: list[dict]) -> str:
        codecs = list(rows[0]["codecs"])
        return table(["tensors", "MB"] + [f"{codec}: s" for codec in codecs] + [f"{codec}: MiB" for codec in codecs],
                     [[f"{row['tensors']:,}", f"{row['bytes'] / 1e6:,.1f}"] +
                      [seconds(row["codecs"][codec]["wall"])
                       for codec in codecs] + [mib(row["codecs"][codec]["peak"])
                                               for codec in codecs]
                      for row in rows])

    parts = [
        "## Embedding\n",
        f"{results['compared']['bytes'] // MIB} MiB of noise into a library of 33 kB, until it is on the disk (`sync`). `cat` "
        "only puts one file behind the other. What objcopy adds is in the file, but not mapped when the library is loaded.\n",
        tools_table(results["compared"]), "![seconds](benchmarks/embedding-seconds.svg)\n",
        "![memory](benchmarks/embedding-memory.svg)\n", f"{results['large']['bytes'] // MIB} MiB:\n",
        tools_table(results["large"]),
        "Growth, in 10 tensors and in tensors of 4 KiB; values have a normal distribution:\n",
        growth_table(results["payload"]),
        growth_table(results["tensors"]), "![growth](benchmarks/growth.svg)\n"
    ]
    if host := results.get("host"):
        parts += [
            f"The params of tests/data into {host['host']} of apache-tvm, {host['bytes'] / 1e6:,.0f} MB:\n",
            tools_table(host)
        ]
    return parts


def rate(step: dict | None, size: int, clock: str) -> str:
    return f"{size / step[clock] / 1e6:,.0f}" if step and step[clock] > 0 else "-"


def codecs_part(results: dict) -> list[str]:
    entries = results["entries"]
    parts = [
        "## Codecs\n",
        "Percent saved. Pannier: what `params` takes in the bundle, padding included, at the default level (3), and at higher "
        "ones; its tensors are encoded one by one. The others get all tensors of a model in one piece; of each, the best "
        "of the codecs and levels below.\n"
    ]
    rows = []
    for entry in entries:
        best = [family_best(entry, family) for family in PEERS]
        levels = [f"{our_saved(entry, 'auto', level):.2f}" if f"auto {level}" in entry["stored"] else "-" for level in (3, 9, 19)]
        rows.append([
            entry["model"], entry["dtype"], f"{entry['bytes'] / 1e6:.1f}", f"**{levels[0]}**", *levels[1:],
            *[f"{value:.2f}" if value is not None else "not there" for value in best]
        ])
    parts.append(table(["model", "dtype", "MB", "pannier", "level 9", "level 19", *PEERS], rows))
    if results["absent"]:
        parts.append(f"Not there: {', '.join(results['absent'])}.\n")
    for dtype in dict.fromkeys(entry["dtype"] for entry in entries):
        entry = max((entry for entry in entries if entry["dtype"] == dtype), key=lambda entry: entry["bytes"])
        size = entry["bytes"]
        rows = []
        for name, codec in entry["codecs"].items():
            steps = codec["steps"]
            rows.append([f"**{name}**" if name.startswith("pannier") else name, f"{saved(codec['size'], size):.2f}"] + [
                f"{rate(steps.get(f'{step} 1t{memory}'), size, 'cpu')} / {rate(steps.get(f'{step} 2t{memory}'), size, 'wall')}"
                for step, memory in (("encode", ""), ("decode", " warm"), ("decode", " fresh"), ("decode", " huge"))
            ])
        parts += [
            f"Speed in MB/s of original bytes, {entry['model']}, {dtype}; 1 thread (by CPU time) / 2 threads (by the clock):\n",
            table(["codec", "saved %", "encode", "decode, warm", "decode, fresh pages", "fresh huge pages"], rows)
        ]
    for entry in entries:
        parts += [f"Failed, {entry['model']} {entry['dtype']}: {failure}.\n" for failure in entry["failures"]]
    parts.append("![saved and speed](benchmarks/codecs.svg)\n")
    return parts


def loading_part(results: dict) -> list[str]:
    parts = [
        "## Loading\n", "LoadBundle of stored params against dlopen, in turns in one process: microseconds, minimum (median):\n",
        table(["tensors", "MB", "dlopen, bare host", "dlopen, bundle", "LoadBundle", "then params()"],
              [[f"{row['tensors']:,}", f"{row['bytes'] / 1e6:,.1f}"] +
               [f"{row[key][0]:.1f} ({row[key][1]:.1f})"
                for key in ("dlopen_host", "dlopen_bundle", "load_bundle", "params")]
               for row in results["dlopen"]])
    ]
    for case in results["others"]:
        rows = []
        for name, way in case["ways"].items():
            if way is None:
                rows.append([name, "not there", "", "", "", ""])
                continue
            rows.append([
                name,
                milliseconds(way["ready"]),
                milliseconds(way["all"]),
                mib(way["peak"]),
                mib(way["base"]) if way.get("base") else "",
                mib(way["anonymous"])
            ])
        parts += [
            f"{case['bytes'] / 1e6:,.0f} MB of fp32 in {case['tensors']:,} tensors, in the page cache, each way in a process of "
            "its own: until the tensors are there, until one byte of each page was read, and memory (base: the interpreter's):\n",
            table(["way", "ready, ms", "all read, ms", "peak MiB", "base MiB", "anonymous MiB"], rows)
        ]
    parts.append("![loading](benchmarks/loading.svg)\n")
    rows = [[
        case["title"], name, f"{case['sizes']['packed' if 'decoded' in name else 'stored'] / 1e6:.1f}",
        milliseconds(way["ready"]),
        milliseconds(way["all"]), f"{way['from_disk'] / 1024:.0f}"
    ] for case in results["cold"] for name, way in case["ways"].items()]
    parts += [
        "Cold, the file's pages dropped before: until all was read or decoded.\n",
        table(["params", "way", "file, MB", "ready, ms", "all read, ms", "from the disk, MiB"], rows)
    ]
    return parts


def trust_aims(results: dict) -> list[Aim]:
    aims = []
    for name in ("pannier verify", "LoadBundle, full"):
        for cores, factor in (("1", 1.1), ("2", 0.5)):
            # OpenSSL's digest is one chain: a second core is of no use to it.
            ratios = [(case["ways"][name][cores]["wall"] / case["ways"]["openssl dgst -sha256"]["1"]["wall"], case["codec"])
                      for case in results["bundles"]]
            aims.append(
                Aim(f"{name} on {cores} core{'s' * (cores == '2')}: at most {factor:g} times `openssl dgst -sha256` of the file",
                    ", ".join(f"{codec} {ratio:.2f}" for ratio, codec in ratios), max(ratios)[0] <= factor))
    return aims


def trust_part(results: dict) -> list[str]:
    rows = [[
        case["codec"], f"{case['bytes'] / 1e6:,.0f}", name,
        *(f"{seconds(way[cores]['wall'])} ({case['bytes'] / way[cores]['wall'] / 1e9:.2f})" for cores in ("1", "2")),
        mib(way["2"]["peak"])
    ] for case in results["bundles"] for name, way in case["ways"].items()]
    return [
        "## Trust\n", "Every byte checked, the file in the page cache; seconds (GB/s), processes from start to end. Peak memory has the pages of "
        "the file that are mapped; with trusted keys, a copy of it.\n",
        table(["codec", "file, MB", "what", "1 core", "2 cores", "peak MiB"], rows)
    ]


def milliseconds(microseconds: float) -> str:
    value = microseconds / 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def machine_part(results: dict) -> list[str]:
    versions = [f"{name} {version}" if version else f"{name}: **not there**" for name, version in results["peers"].items()]
    return [
        "## The machine\n",
        table(["what", "found"], [[name, value] for name, value in results["machine"].items()]).replace("---:", "---"),
        "Versions: " + "; ".join(versions) + ".\n"
    ]


def plots(results: dict, folder: pathlib.Path) -> None:
    if part := results.get("embedding"):
        there = {name: cost for name, cost in part["compared"]["tools"].items() if cost}
        size = part["compared"]["bytes"] // MIB
        svg.bars(folder / "embedding-seconds.svg", f"Embedding {size} MiB", "seconds",
                 [(name, cost["wall"], name.startswith("pannier")) for name, cost in there.items()])
        svg.bars(folder / "embedding-memory.svg", f"Embedding {size} MiB: peak memory", "MiB",
                 [(name, (cost["peak"] or 0) / 1024, name.startswith("pannier")) for name, cost in there.items()])

        def series(rows: list[dict], x: str, scale: float) -> dict:
            return {codec: [(row[x] / scale, row["codecs"][codec]["wall"]) for row in rows] for codec in rows[0]["codecs"]}

        svg.lines(folder / "growth.svg",
                  [("Seconds to embed, by payload", "MB", series(part["payload"], "bytes", 1e6)),
                   ("Seconds to embed, by tensors of 4 KiB", "tensors", series(part["tensors"], "tensors", 1))])
    if part := results.get("codecs"):
        panels = []
        for dtype in dict.fromkeys(entry["dtype"] for entry in part["entries"]):
            entry = max((entry for entry in part["entries"] if entry["dtype"] == dtype), key=lambda entry: entry["bytes"])
            marks = [(name, saved(codec["size"], entry["bytes"]), entry["bytes"] / step["cpu"] / 1e6, name.startswith("pannier"))
                     for name, codec in entry["codecs"].items()
                     if (step := codec["steps"].get("decode 1t fresh")) and step["cpu"] > 0]
            panels.append((f"{entry['model']}, {dtype}: decoded into fresh pages, MB/s, one thread", "percent saved", marks))
        svg.points(folder / "codecs.svg", panels)
    if part := results.get("loading"):
        case = part["others"][0]
        svg.bars(folder / "loading.svg",
                 f"{case['bytes'] / 1e6:,.0f} MB in {case['tensors']:,} tensors: until one byte of every page was read", "ms",
                 [(name, way["all"] / 1000, name.startswith("pannier"))
                  for name, way in case["ways"].items()
                  if way and "bare" not in name])


def write(results: dict, page: pathlib.Path) -> list[Aim]:
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    plots(results, folder)
    aims = all_aims(results)
    parts = [
        "# Benchmarks\n",
        "Made by `tests/bench/run.py`; [results.json](benchmarks/results.json) has all figures. Pannier and the others "
        "took turns in one run; what is given is the minimum, for time and for memory. Trust ratios more than seconds.\n",
        "## Aims\n",
        table(["aim", "measured", "verdict"], [aim.row() for aim in aims]).replace("---:", "---")
    ]
    if (notes := folder / "notes.md").exists():
        parts.append(notes.read_text())
    if "embedding" in results:
        parts += embedding_part(results["embedding"])
    if results.get("codecs", {}).get("entries"):
        parts += codecs_part(results["codecs"])
    if "loading" in results:
        parts += loading_part(results["loading"])
    if "trust" in results:
        parts += trust_part(results["trust"])
    parts += machine_part(results)
    page.write_text("\n".join(parts))
    return aims
