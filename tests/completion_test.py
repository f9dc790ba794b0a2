#!/usr/bin/env python3
"""What `pannier completion` prints, run by the shells themselves: bash, zsh and fish.

usage: tests/completion_test.py PANNIER

Exit status: 0 all as expected; 1 not; 4 a shell is not there, the others were tested.
"""

import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time

pannier = sys.argv[1]
COMMANDS = "embed sign digest attach inspect view diff extract verify restore completion".split()

# What stands before the cursor -> what there is to choose from, as whole words; None: readline's own names of files.
BASH = {
    "pannier em": ["embed"],
    "pannier ": [*COMMANDS, "-h", "--help", "--version"],
    "pannier embed --gr": ["--graph"],
    "pannier embed --codec ": ["auto", "store", "zstd", "planes"],
    "pannier embed --codec=z": ["zstd"],
    "pannier embed --codec=": ["auto", "store", "zstd", "planes"],
    "pannier embed --graph ": None,
    "pannier embed --artifact labels=": None,
    "pannier extract ": None,
    "pannier extract -o parts ": None,
    "pannier extract model.so ": ["graph", "params"],
    "pannier extract -o parts model.so g": ["graph"],
    "pannier extract --output=parts model.so graph ": ["graph", "params"],
    "pannier completion ": ["bash", "zsh", "fish"],
    "pannier verify --any": ["--any-of"],
    "pannier nothing --any": None,
}
BASH_HARNESS = r"""
set -u
source "$1"
[[ $(complete -p pannier) == *'-o default -F _pannier pannier' ]] || exit
while IFS= read -r line; do
  # readline's words: it breaks them at COMP_WORDBREAKS, `=` is a word of its own
  read -ra COMP_WORDS <<<"${line//=/ = }"
  [[ $line == *' ' ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _pannier
  echo "${COMPREPLY[*]-}"
done
"""

# Typed, then Tab -> the line.
ZSH = {
    "pannier em": "pannier embed ",
    "pannier rest": "pannier restore ",
    "pannier embed --gra": "pannier embed --graph=",
    "pannier embed --codec z": "pannier embed --codec zstd ",
    "pannier embed --graph=a_g": "pannier embed --graph=a_graph.json ",
    "pannier embed a_g": "pannier embed a_graph.json ",
    "pannier extract a_graph.json pa": "pannier extract a_graph.json params ",
    "pannier extract a_graph.json -o a_f": "pannier extract a_graph.json -o a_folder/",
    "pannier completion fi": "pannier completion fish ",
    "pannier verify --key=a_g": "pannier verify --key=a_graph.json ",
}
ZSH_START = r"""
PROMPT='ready> '
autoload -Uz compinit && compinit -D -u
report() { print -r -- "$BUFFER|" >>lines; BUFFER=; zle reset-prompt }
zle -N report
bindkey '^T' report
bindkey '^I' expand-or-complete
"""

FISH = {
    "pannier em": ["embed"],
    "pannier ": COMMANDS,
    "pannier embed --gra": ["--graph"],
    "pannier embed --codec ": ["auto", "planes", "store", "zstd"],
    "pannier embed --codec z": ["zstd"],
    "pannier embed --graph a_g": ["a_graph.json"],
    "pannier extract a_graph.json pa": ["params"],
    "pannier extract -o a_f": ["a_folder/"],
    "pannier completion ": ["bash", "fish", "zsh"],
}

checks, failures, skips = 0, 0, []


def check(shell, line, found, expected):
    global checks, failures
    checks += 1
    if found != expected:
        failures += 1
        print(f"FAILED  {shell}: {line!r}: found {found}, expected {expected}")


def test_bash(script, folder):
    done = subprocess.run(["bash", "--norc", "-c", BASH_HARNESS, "bash", script], input="".join(line + "\n" for line in BASH),
                          capture_output=True, text=True, cwd=folder)
    found = done.stdout.splitlines()
    check("bash", "harness", (done.returncode, done.stderr, len(found)), (0, "", len(BASH)))
    for (line, expected), words in zip(BASH.items(), found):
        check("bash", line, sorted(words.split()), sorted(expected or []))


def test_zsh(script, folder):
    """In a terminal, as people use it. Both ways to read the script: as a function's file, and by `source`."""
    functions = folder / "functions"
    functions.mkdir()
    shutil.copy(script, functions / "_pannier")
    for way in (f"fpath=({functions} $fpath)\n{ZSH_START}", f"{ZSH_START}\nsource {script}\n"):
        (folder / "start").write_text(way)
        lines = folder / "lines"
        lines.unlink(missing_ok=True)
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.environ["TERM"] = "dumb"
            os.execvp("zsh", ["zsh", "-f", "-i"])
        seen = b""

        def read(until):
            nonlocal seen
            limit = time.monotonic() + 20
            while not until() and time.monotonic() < limit:
                if select.select([terminal], [], [], 0.05)[0]:
                    try:
                        seen += os.read(terminal, 65536)
                    except OSError:
                        return

        os.write(terminal, b"source ./start\n")
        read(lambda: seen.count(b"ready> ") >= 1)
        for i, line in enumerate(ZSH):
            os.write(terminal, line.encode() + b"\t\x14")
            read(lambda: lines.exists() and lines.read_text().count("\n") > i)
        os.write(terminal, b"exit\n")
        read(lambda: False)
        os.close(terminal)
        os.waitpid(child, 0)
        found = lines.read_text().splitlines() if lines.exists() else []
        check("zsh", "lines", len(found), len(ZSH))
        for (line, expected), completed in zip(ZSH.items(), found):
            check("zsh", line, completed, expected + "|")


def test_fish(script, folder):
    for line, expected in FISH.items():
        done = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2]"', script, line], capture_output=True,
                              text=True, cwd=folder, env={**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)})
        found = [word.split("\t")[0] for word in done.stdout.splitlines()]
        if line.endswith("pannier "):
            found = [word for word in found if not word.startswith("-")]
        check("fish", line, (done.stderr, sorted(found)), ("", sorted(expected)))


def main():
    for shell, test in (("bash", test_bash), ("zsh", test_zsh), ("fish", test_fish)):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "a_graph.json").touch()
            (folder / "a_folder").mkdir()
            script = folder / "script"
            script.write_bytes(subprocess.run([pannier, "completion", shell], check=True, capture_output=True).stdout)
            if shutil.which(shell):
                test(script, folder)
            else:
                skips.append(shell)
    print(f"{checks} checks, {failures} failed; {len(skips)} shells are not there{': ' if skips else ''}{', '.join(skips)}")
    return 1 if failures else 4 if skips else 0


if __name__ == "__main__":
    sys.exit(main())
