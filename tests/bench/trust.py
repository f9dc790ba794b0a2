"""Trust: every byte of a bundle checked, by verify and at load, against `openssl dgst -sha256` of the same file; on one core and on two."""

import os
import pathlib
import subprocess
from collections.abc import Callable

import embedding
import measuring
import weights


def measure(programs: dict, work: pathlib.Path, quick: bool, note: Callable[[str], None]) -> dict:
    note("trust: verify and load")
    key, public = work / "key.pem", work / "key.pub"
    measuring.output_of("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    measuring.output_of("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    params = weights.write_params(work / "trust.params", "fp32", 16, weights.gaussian(16, 1 << 20 if quick else 1 << 25))
    results = []
    for codec in ("store", "auto"):
        bundle = work / "trust.so"
        subprocess.run([str(word) for word in (*embedding.embed_command(programs, params, bundle, codec), "--sign", key)], check=True)
        commands = {
            "openssl dgst -sha256": ("openssl", "dgst", "-sha256", bundle),
            "pannier verify": (programs["pannier"], "verify", bundle, "-q"),
            "pannier verify --key": (programs["pannier"], "verify", bundle, "-q", "--key", public),
            "LoadBundle, full": (programs["load_benchmark"], "--ready", "full", bundle),
            "LoadBundle, trusted keys": (programs["load_benchmark"], "--ready", "trusted", bundle, public),
        }
        turns = {
            f"{name}, {cores}": lambda command=command, cores=cores: measuring.run(
                "taskset", "--cpu-list", ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:cores]), *command, folder=work)
            for name, command in commands.items() for cores in (1, 2)
        }
        costs = measuring.in_turns(turns, 2 if quick else 7, 120)
        results.append({
            "codec": codec,
            "bytes": bundle.stat().st_size,
            "ways": {name: {str(cores): measuring.least(costs[f"{name}, {cores}"]) for cores in (1, 2)} for name in commands},
        })
        bundle.unlink()
    params.unlink()
    return {"bundles": results}
