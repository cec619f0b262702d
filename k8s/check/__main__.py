"""Renders each overlay, holds each rule of this folder against it, and then breaks one thing at a time (fixtures.yaml), which the rule for it
has to catch. Lines "ok - name" and "not ok - name".

  BUILD=build build/k8s-check/venv/bin/python -B k8s/check TOOLS     the directory with kubectl and promtool (k8s/check/install)
"""
import pathlib
import subprocess
import sys

import yaml

import alerts
import bundles
import contract  # noqa: F401  each of these registers its rules
import engine  # noqa: F401
import fixtures
import metrics  # noqa: F401
import references  # noqa: F401
import restricted  # noqa: F401
import schema  # noqa: F401
import scripts  # noqa: F401
from rules import RULES, findings
from system import System

K8S = pathlib.Path(__file__).resolve().parents[1]
OVERLAYS = K8S / "overlays"
GIVEN = OVERLAYS / "production/secrets.example.yaml"
PLACEHOLDER = "CHANGE-ME"
VALUE = "0123456789abcdef0123456789abcdef"


def render(kubectl, overlay):
    done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def read(kubectl, overlay, value=VALUE):
    """value: in the place of the example's passwords."""
    name = overlay.relative_to(OVERLAYS).as_posix()
    text = GIVEN.read_text().replace(PLACEHOLDER, value) if name.startswith("production") else ""
    return System(name, render(kubectl, overlay), [thing for thing in yaml.safe_load_all(text) if thing])


def rules_of(system):
    print(f"# {system.name}: {len(system.objects)} objects, {len(RULES)} rules")
    for rule, function in RULES.items():
        yield f"{system.name}: {function.__doc__}", findings(system, rule)


def cases(tools):
    """(name, what is wrong) of all that is checked."""
    kubectl = tools / "kubectl"
    yield from bundles.cases()
    # system/ is what the others are made of
    overlays = sorted(file.parent for file in OVERLAYS.rglob("kustomization.yaml") if file.parent.name != "system")
    systems = {system.name: system for system in (read(kubectl, overlay) for overlay in overlays)}
    for system in systems.values():
        yield from rules_of(system)
    refused = findings(read(kubectl, OVERLAYS / "production", PLACEHOLDER), "settings")
    yield "production doesn't start with the example's secrets", [] if any("jwt_secret" in each for each in refused) else refused or ["it does"]
    yield from alerts.cases(tools / "promtool", systems["production/operators"])
    yield from fixtures.cases(systems)
    print(f"# {len(systems)} overlays with {sum(len(system.objects) for system in systems.values())} objects, {len(RULES)} rules each")


def main():
    failures = 0
    for name, problems in cases(pathlib.Path(sys.argv[1]).resolve()):
        failures += bool(problems)
        print(f"{'not ok' if problems else 'ok'} - {name}", flush=True)
        for problem in problems:
            print("#   " + problem.replace("\n", "\n#   "))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
