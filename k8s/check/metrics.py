"""Alerts and dashboards: each query can be read, and asks for metrics and labels that the engine has."""
import json
import pathlib
import re

import promql_parser

from rules import rule
from system import contents, name_of

OPERATIONS = pathlib.Path(__file__).resolve().parents[2] / "docs/operations.md"
# What Prometheus adds, and what the Services' labels become (k8s/components/monitoring).
ADDED = {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "component", "le", "__name__"}
OTHERS = {"up": set(), "rabbitmq_detailed_queue_messages_ready": {"vhost", "queue"}}


def known():
    """The metrics of docs/operations.md with their labels; spec/e2e/70-docs.sh compares that table with a running engine."""
    result = dict(OTHERS)
    for name, kind, labels in re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([a-z, -]+) \|", OPERATIONS.read_text(), re.M):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            result[name + suffix] = set(re.findall(r"[a-z_]+", labels))
    return result


def selectors(expression):
    """(metric, labels that it is selected by) of each selector in it."""
    found = []

    def visit(node):
        selector = getattr(node, "vector_selector", node)
        if isinstance(selector, promql_parser.VectorSelector):
            found.append((selector.name, {matcher.name for matcher in selector.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def problems(expression):
    try:
        found = selectors(expression)
    except ValueError as why:
        return [f"{expression}: {why}"]
    metrics = known()
    return [f"{expression}: there is no metric {name}" for name, _ in found if name not in metrics] + [
        f"{expression}: {name} has no label {label}" for name, labels in found if name in metrics
        for label in labels - metrics[name] - ADDED]


@rule
def alerts(system):
    """an alert's expression asks for what there is, and says how bad it is and what to do"""
    for thing in system.of("PrometheusRule"):
        for entry in [entry for group in thing["spec"]["groups"] for entry in group["rules"]]:
            for problem in problems(entry["expr"]):
                yield name_of(thing), f"{entry['alert']}: {problem}"
            if "severity" not in entry.get("labels", {}) or not {"summary", "description"} <= set(entry.get("annotations", {})):
                yield name_of(thing), f"{entry['alert']} lacks its severity, summary or description"


def queries(dashboard):
    """(title, query) of each panel, and of what is noted at the time when it happened."""
    for panel in dashboard["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from ((note["name"], note["expr"]) for note in dashboard.get("annotations", {}).get("list", []))


@rule
def dashboards(system):
    """so do a dashboard's panels"""
    for thing in system.of("ConfigMap"):
        if "grafana_dashboard" not in thing["metadata"].get("labels", {}):
            continue
        for text in contents(thing).values():
            for title, query in queries(json.loads(text)):
                for problem in problems(query.replace("$__rate_interval", "5m")):
                    yield name_of(thing), f"{title}: {problem}"
