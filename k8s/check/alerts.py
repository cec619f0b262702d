"""The alerts, played through by Prometheus's promtool: each as alerts.yaml says."""
import json
import pathlib
import subprocess
import tempfile

import yaml

CASES = pathlib.Path(__file__).parent / "alerts.yaml"
KEPT = ("severity",)  # labels that an alert adds


def test_of(case, rule):
    """One of promtool's tests. JSON is YAML."""
    fires = {"exp_labels": {**case["labels"], **{key: rule["labels"][key] for key in KEPT}},
             "exp_annotations": {**rule["annotations"], "summary": case["says"]}}
    return {"interval": "1m", "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
            "alert_rule_test": [{"alertname": case["alert"], "eval_time": case["quiet"], "exp_alerts": []},
                                {"alertname": case["alert"], "eval_time": case["fires"], "exp_alerts": [fires]}]}


def play(promtool, groups, test):
    """What promtool has against it."""
    with tempfile.TemporaryDirectory() as directory:
        rules = pathlib.Path(directory) / "rules.yaml"
        rules.write_text(json.dumps({"groups": groups}))
        file = pathlib.Path(directory) / "test.yaml"
        file.write_text(json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
        done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def cases(promtool, system):
    """(name, what is wrong with it) of each alert."""
    groups = [group for thing in system.of("PrometheusRule") for group in thing["spec"]["groups"]]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    given = yaml.safe_load(CASES.read_text())
    for name in sorted(set(rules) ^ {case["alert"] for case in given}):
        yield f"the alert {name} is in k8s/components/monitoring and has a course in alerts.yaml", ["one of them lacks it"]
    for case in given:
        if case["alert"] in rules:
            yield f"the alert {case['alert']} fires when it should", play(promtool, groups, test_of(case, rules[case["alert"]]))
