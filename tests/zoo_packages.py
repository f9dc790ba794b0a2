"""Packages that zoo_catalogue.txt lists: fetched by the clients of npm and PyPI, checked by their digests, read file by file."""

import base64
import concurrent.futures
import dataclasses
import hashlib
import re
import tarfile
import zipfile

import own_python
from zoo_tools import LIEF, run

PYTHON_VERSION = "3.12"  # of the wheels


@dataclasses.dataclass
class Package:
    registry: str
    name: str
    version: str
    platform: str
    integrity: str
    in_sample: bool

    @property
    def title(self):
        return self.name + (f" ({self.platform})" if self.platform else "")

    @property
    def maker(self):
        return self.name.split("/")[0] if self.name.startswith("@") else re.sub(r"-(darwin|win32).*", "", self.name)

    def path(self, cache):
        """Where the package lies; None before it is fetched."""
        if self.registry == "npm":
            return cache / f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"
        return next(iter(sorted(self.folder(cache).glob("*.whl"))), None)

    def folder(self, cache):
        """Of its wheel, whose name pip chooses."""
        return cache / f"{self.name}-{self.version}-{self.platform}"

    def is_whole(self, cache):
        path = self.path(cache)
        if not path or not path.exists():
            return False
        kind, expected = self.integrity.split("-", 1)
        with open(path, "rb") as file:
            return base64.b64encode(hashlib.file_digest(file, kind).digest()).decode() == expected

    def fetch_commands(self, cache):
        if self.registry == "npm":
            return [
                "npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", cache, f"{self.name}@{self.version}"
            ]
        return [
            own_python.make("zoo", [LIEF]), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
            "--python-version", PYTHON_VERSION, "--platform", self.platform, "-d",
            self.folder(cache), f"{self.name}=={self.version}"
        ]

    def files(self, cache):
        """Name and bytes of each file."""
        path = self.path(cache)
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    yield entry.filename, archive.read(entry)
        else:
            with tarfile.open(path) as archive:
                for entry in archive:
                    if entry.isfile():
                        yield entry.name, archive.extractfile(entry).read()


def read_catalogue(path):
    packages = []
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        mark, registry, what, integrity = line.split()
        name, version = re.fullmatch(r"(@?[^@=]+)(?:@|==)(.+)", what).groups()
        version, _, platform = version.partition("@")
        packages.append(Package(registry, name, version, platform, integrity, mark == "*"))
    return packages


def fetch(packages, cache):
    """Brings the packages that are not in the cache; those that could not be had."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not package.is_whole(cache)]

    def fetch_one(package):
        done = run(*package.fetch_commands(cache))
        if not package.is_whole(cache):
            return f"{package.title} {package.version}: " + (done.text.splitlines() or ["its digest is not the catalogue's"])[-1]
        return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [problem for problem in pool.map(fetch_one, missing) if problem]
