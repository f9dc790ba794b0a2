"""One way in which others load tensors, in a process of its own: `load_peer.py WAY FILE`; figures as of load_benchmark --once.

Ready: every tensor is at hand. All: one byte of every page was read. The interpreter and its modules are not part of it: `base` is
the peak before.
"""

import json
import sys
import time


def from_proc(file: str, label: str) -> int:
    with open(f"/proc/self/{file}") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(label)), -1)


def loader(way: str, path: str):
    """A function that loads, and what its modules are imported for before the clock starts."""
    if way.startswith("tvm"):
        import tvm.runtime as runtime

        def from_bytes():
            with open(path, "rb") as file:
                return runtime.load_param_dict(file.read())

        return from_bytes if way == "tvm-bytes" else lambda: runtime.load_param_dict_from_file(path)
    if way.startswith("safetensors"):
        import safetensors.numpy

        def by_open():
            with safetensors.safe_open(path, framework="np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}

        return by_open if way == "safetensors-open" else lambda: safetensors.numpy.load_file(path)
    import numpy as np
    return lambda: {"all": np.load(path, mmap_mode="r" if way == "np-map" else None)}


def main() -> None:
    import numpy as np
    load = loader(sys.argv[1], sys.argv[2])
    base, anonymous = from_proc("status", "VmHWM:"), from_proc("smaps_rollup", "Anonymous:")
    start = time.perf_counter()
    tensors = load()
    ready = time.perf_counter() - start
    total = 0
    for tensor in tensors.values():
        values = tensor if isinstance(tensor, np.ndarray) else np.from_dlpack(tensor)
        total += int(values.reshape(-1).view(np.uint8)[::4096].sum())
    everything = time.perf_counter() - start
    print(
        json.dumps({
            "ready": ready * 1e6,
            "all": everything * 1e6,
            "peak": from_proc("status", "VmHWM:"),
            "base": base,
            "anonymous": from_proc("smaps_rollup", "Anonymous:") - anonymous,
        }))


main()
