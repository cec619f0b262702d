"""What is broken on purpose, as fixtures.yaml says: each rule has to catch its own."""
import copy
import pathlib

import yaml

from rules import RULES, findings
from system import System

FIXTURES = pathlib.Path(__file__).parent / "fixtures.yaml"


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
        gone = result.find(*fixture["remove"].split("/"))
        result.objects = [thing for thing in result.objects if thing is not gone]
        result.given = [thing for thing in result.given if thing is not gone]
    result.objects += copy.deepcopy(fixture.get("add", []))
    for path, value in fixture.get("set", {}).items():
        patch(result.find(*fixture["of"].split("/")), path, value)
    if "oversize" in fixture:
        result.find(*fixture["oversize"].split("/"))["data"]["more"] = "x" * (1 << 20)
    return result


def cases(systems):
    """(name, what is wrong) of each fixture, and of each rule that has none."""
    fixtures = yaml.safe_load(FIXTURES.read_text())
    for fixture in fixtures:
        found = findings(broken(systems[fixture.get("overlay", "minikube")], fixture), fixture["rule"])
        caught = any(fixture["says"] in finding for finding in found)
        yield f"caught by {fixture['rule']}: {fixture['name']}", [] if caught else ["it says:", *found]
    for rule in sorted(set(RULES) - {fixture["rule"] for fixture in fixtures}):
        yield f"the rule {rule} has a fixture", [f"{FIXTURES.name} has none"]
