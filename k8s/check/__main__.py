"""Renders each overlay, holds each rule of this folder against it, and then breaks one thing at a time: fixtures.yaml has at least one for
each rule, which has to be the one that catches it. Lines "ok - name" and "not ok - name".

  BUILD=build build/k8s-check/venv/bin/python -B k8s/check TOOLS     the directory with kubectl and promtool (k8s/check/install)
"""
import collections
import copy
import pathlib
import subprocess
import sys

import yaml

import alerts
import bundles
import contract  # noqa: F401  each module registers its rules
import engine  # noqa: F401
import metrics  # noqa: F401
import references  # noqa: F401
import restricted  # noqa: F401
import schema  # noqa: F401
import scripts  # noqa: F401
from rules import RULES
from system import System

HERE = pathlib.Path(__file__).resolve().parent
K8S = HERE.parent
GIVEN = K8S / "overlays/production/secrets.example.yaml"
# The example's values are refused by the engine, as they should be. These have their form.
STANDING_IN = {"CHANGE-ME": "0123456789abcdef0123456789abcdef"}
failures = 0


def report(good, name, details=()):
    global failures
    failures += not good
    print(f"{'ok' if good else 'not ok'} - {name}")
    for detail in details:
        print("#   " + str(detail).replace("\n", "\n#   "))


def overlays():
    """Every directory below overlays/ that is for `kubectl apply -k`: all but those that these are made of."""
    return sorted(file.parent for file in (K8S / "overlays").rglob("kustomization.yaml") if file.parent.name != "system")


def render(kubectl, overlay):
    text = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, timeout=60)
    if text.returncode != 0:
        raise RuntimeError(text.stderr.strip())
    return [thing for thing in yaml.safe_load_all(text.stdout) if thing]


def given(overlay):
    """What an overlay expects in the cluster."""
    if "production" not in overlay.parts:
        return []
    text = GIVEN.read_text()
    for placeholder, value in STANDING_IN.items():
        text = text.replace(placeholder, value)
    return [thing for thing in yaml.safe_load_all(text) if thing]


def findings(system, name):
    return [f"{thing}: {text}" for thing, text in RULES[name](system)]


def check_overlay(kubectl, overlay):
    name = overlay.relative_to(K8S / "overlays").as_posix()
    try:
        system = System(name, render(kubectl, overlay), given(overlay))
    except (RuntimeError, yaml.YAMLError) as why:
        report(False, f"{name}: it is rendered", [why])
        return None
    print(f"# {name}: {len(system.objects)} objects, {len(RULES)} rules")
    for rule in RULES:
        found = findings(system, rule)
        report(not found, f"{name}: {RULES[rule].__doc__}", found)
    return system


# ---- fixtures ----

def step(document, part):
    """The key or index that a part of a JSON pointer means; in a list also the name of what is there."""
    if not isinstance(document, list) or part == "-":
        return part
    return int(part) if part.isdigit() else [thing.get("name") for thing in document].index(part)


def place(document, path):
    """What holds the last part of a JSON pointer, and that part."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path.strip("/").split("/")]
    for part in parents:
        document = document[step(document, part)]
    return document, step(document, last)


def patch(document, path, value):
    """Sets what is at the path; null takes it away, '-' at the end appends."""
    holder, last = place(document, path)
    if value is None:
        del holder[last]
    elif last == "-":
        holder.append(value)
    else:
        holder[last] = value


def broken(system, fixture):
    result = System(system.name, copy.deepcopy(system.objects), copy.deepcopy(system.given))
    if "remove" in fixture:
        kind, name = fixture["remove"].split("/")
        gone = result.find(kind, name)
        result.objects = [thing for thing in result.objects if thing is not gone]
        result.given = [thing for thing in result.given if thing is not gone]
    if "add" in fixture:
        result.objects += copy.deepcopy(fixture["add"])
    if "of" in fixture:
        for path, value in fixture["set"].items():
            patch(result.find(*fixture["of"].split("/")), path, value)
    if "oversize" in fixture:
        result.find(*fixture["oversize"].split("/"))["data"]["more"] = "x" * (1 << 20)
    return result


def check_fixtures(systems):
    caught = collections.Counter()
    for fixture in yaml.safe_load((HERE / "fixtures.yaml").read_text()):
        rule, name = fixture["rule"], f"caught by {fixture['rule']}: {fixture['name']}"
        system = systems[fixture.get("overlay", "minikube")]
        found = findings(broken(system, fixture), rule)
        good = any(fixture["says"] in finding for finding in found)
        caught[rule] += good
        report(good, name, [] if good else [f"it says: {found}"])
    for rule in RULES:
        if not caught[rule]:
            report(False, f"the rule {rule} has a fixture that it catches")
    return sum(caught.values())


def main():
    tools = pathlib.Path(sys.argv[1]).resolve()
    for name, good in bundles.cases():
        report(good, name)
    systems = {overlay.relative_to(K8S / "overlays").as_posix(): check_overlay(tools / "kubectl", overlay) for overlay in overlays()}
    if None not in systems.values():
        for name, wrong in alerts.cases(tools / "promtool", systems["production/operators"]):
            report(not wrong, name, [wrong] if wrong else [])
        count = check_fixtures(systems)
        objects = sum(len(system.objects) for system in systems.values())
        print(f"# {len(systems)} overlays with {objects} objects, {len(RULES)} rules each; {count} broken fixtures caught")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
