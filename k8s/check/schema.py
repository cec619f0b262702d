"""What the API server would refuse: each object against the schema of its kind, unknown fields included."""
import functools
import importlib.resources
import json
import re

import jsonschema
import pydantic
import referencing
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as monitoring

from rules import rule
from system import name_of

VERSION = "v1.34.0"
# The schemas have no lists of allowed words, and know quantities as text.
WORDS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"}, "restartPolicy": {"Always", "OnFailure", "Never"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"}, "pathType": {"Prefix", "Exact", "ImplementationSpecific"},
    "protocol": {"TCP", "UDP", "SCTP"}, "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "fsGroupChangePolicy": {"OnRootMismatch", "Always"}, "accessModes": {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
    "policyTypes": {"Ingress", "Egress"}, "operator": {"In", "NotIn", "Exists", "DoesNotExist"},
}
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?")
CUSTOM = {"keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": monitoring}


def read(name):
    return json.loads((importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"{VERSION}-local-strict" / name)
                      .read_text())


@functools.cache
def registry():
    return referencing.Resource.from_contents(read("_definitions.json")) @ referencing.Registry()


@functools.cache
def validator(api_version, kind):
    """None: the API server knows no such kind."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)  # rbac.authorization.k8s.io/v1 is rbac-v1
    try:
        schema = read(f"{kind.lower()}-{group}.json")
    except FileNotFoundError:
        return None
    return jsonschema.validators.Draft202012Validator(schema, registry=referencing.Resource.from_contents(schema) @ registry())


def problems_of_custom(model, thing):
    try:
        model.model_validate(thing, extra="forbid", strict=True, by_alias=True, by_name=False)
    except pydantic.ValidationError as why:
        for error in why.errors():
            yield f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"


def problems(thing):
    model = getattr(CUSTOM.get(thing["apiVersion"]), thing["kind"], None)
    if model:
        return problems_of_custom(model, thing)
    known = validator(thing["apiVersion"], thing["kind"])
    if not known:
        return [f"there is no kind {thing['kind']} in {thing['apiVersion']}"]
    return (f"{error.json_path.removeprefix('$.')}: {error.message[:200]}" for error in known.iter_errors(thing))


@rule
def schema(system):
    """each object is one that the API server takes, without a field that it doesn't know"""
    for thing in system.objects + system.given:
        for problem in problems(thing):
            yield name_of(thing), problem


def fields(node):
    """Every field of an object with its value, however deep."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield key, value
        yield from fields(value)


@rule
def words(system):
    """a field for one of a few words has one of these"""
    for thing in system.objects:
        for key, value in fields(thing) if thing["apiVersion"] not in CUSTOM else ():
            for word in value if isinstance(value, list) else [value]:
                if key in WORDS and word not in WORDS[key]:
                    yield name_of(thing), f"{key} is {word}; known are {', '.join(sorted(WORDS[key]))}"


@rule
def quantities(system):
    """an amount of CPU, memory or space is one"""
    for thing in system.objects:
        for key, value in fields(thing):
            amounts = value.values() if key in ("requests", "limits") else [value] if key == "sizeLimit" else ()
            for amount in amounts:
                if not QUANTITY.fullmatch(str(amount)):
                    yield name_of(thing), f"{amount} is no quantity"
