#!/usr/bin/env python3
"""One version everywhere: CMakeLists.txt has it, all that repeats it follows. usage: version_test.py [PANNIER]"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
NUMBERS = r"(\d+\.\d+\.\d+)"
# What must be found in each file, and how often at least.
REPEATED = [
    ("include/pannier/pannier.h", rf'#define PANNIER_VERSION_STRING "{NUMBERS}"', 1),
    ("pyproject.toml", rf'^version = "{NUMBERS}"', 1),
    ("packaging/conan/conanfile.py", rf'^    version = "{NUMBERS}"', 1),
    ("packaging/vcpkg/ports/pannier/vcpkg.json", rf'^  "version": "{NUMBERS}"', 1),
    ("packaging/container/Containerfile", rf"pannier:{NUMBERS}", 1),
    ("packaging/github-action/action.yml", rf"github-action@v{NUMBERS}", 1),
    ("packaging/gitlab/pannier.gitlab-ci.yml", rf"(?:ref: v|pannier:){NUMBERS}", 2),
    ("docs/guides/ci.md", rf"github-action@v{NUMBERS}", 1),
    ("docs/packaging.md", rf"\.so\.{NUMBERS}", 1),
    *((f"docs/man/{page.name}", rf'"pannier {NUMBERS}"', 1) for page in sorted((ROOT / "docs/man").glob("*.1"))),
]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def main():
    version = re.search(rf"^project\(pannier VERSION {NUMBERS} ", read("CMakeLists.txt"), re.M)[1]
    wrong = []
    for path, pattern, least in REPEATED:
        found = re.findall(pattern, read(path), re.M)
        if len(found) < least or set(found) != {version}:
            wrong.append(f"{path}: found {found}, expected {version}, {least} times at least")
    # libpannier0.1, libpannier_loader.so.0.1: the first two numbers.
    soname = ".".join(version.split(".")[:2])
    for path, pattern in (("docs/packaging.md", r"libpannier(\d+\.\d+)\b"), ("tests/packages.sh", r"libpannier_loader\.so\.(\d+\.\d+)'")):
        found = re.findall(pattern, read(path))
        if not found or set(found) != {soname}:
            wrong.append(f"{path}: found {found}, expected {soname}")
    for path in (f"tests/golden/interface-{soname}.txt",):
        if not (ROOT / path).is_file():
            wrong.append(f"{path}: found nothing, expected the C interface of {version}")
    # Changes are collected under Unreleased; versions follow, newest first, each with its day, none newer than this one.
    headings = re.findall(r"^## \[([^\]]+)\](.*)$", read("CHANGELOG.md"), re.M)
    released = [tuple(map(int, name.split("."))) for name, _ in headings[1:]]
    if not headings or headings[0] != ("Unreleased", ""):
        wrong.append(f"CHANGELOG.md: found {headings[:1]}, expected [Unreleased] first")
    if any(not re.fullmatch(r" - \d{4}-\d\d-\d\d", rest) for _, rest in headings[1:]):
        wrong.append(f"CHANGELOG.md: found {headings[1:]}, expected a day behind each version")
    if released != sorted(released, reverse=True) or any(number > tuple(map(int, version.split("."))) for number in released):
        wrong.append(f"CHANGELOG.md: found {released}, expected the newest first and none newer than {version}")
    for program in sys.argv[1:]:
        found = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.split()
        if version not in found:
            wrong.append(f"{program} --version: found {found}, expected {version}")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{version}: {len(REPEATED)} files: {'ok' if not wrong else 'wrong'}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
