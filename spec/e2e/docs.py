"""Compares the tables of docs/operations.md with what the engine says of itself.

docs.py TIDEMILL METRICS: the executable, and the URL of a running engine's /metrics. Lines "ok - name" and "not ok - name".
"""
import glob
import re
import subprocess
import sys
import urllib.request

failures = 0


def compare(name, real, told):
    """Both are dictionaries or sets of what has to be the same."""
    global failures
    missing = sorted(set(real) - set(told))
    invented = sorted(set(told) - set(real))
    wrong = sorted(f"{key}: {real[key]}, not {told[key]}" for key in set(real) & set(told)
                   if isinstance(real, dict) and real[key] is not None and real[key] != told[key])
    failures += bool(missing or invented or wrong)
    print(f"not ok - {name}: missing {missing}, invented {invented}, wrong {wrong}" if missing or invented or wrong else f"ok - {name}")


def table(heading):
    """The rows of the table below a heading, their first cell a name in backquotes; backquotes are left out."""
    with open("docs/operations.md", encoding="utf-8") as file:
        section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", file.read(), re.M | re.S)[1]
    rows = re.findall(r"^\| (`.*) \|$", section, re.M)
    return [[cell.strip().replace("`", "") for cell in row.split(" | ")] for row in rows]


def settings(tidemill):
    """{name: default}; None where the help tells it in words."""
    text = subprocess.run([tidemill, "help", "settings"], check=True, capture_output=True, text=True).stdout
    entries = re.findall(r"^([a-z_.]+(?:BUNDLE)?) {2,}\S.*\n((?: .*\n)*)", text, re.M)
    return {name: (re.search(r"; default (?!for$)(\S+)$", rest, re.M) or [None, None])[1] for name, rest in entries}


def settings_of_bundles():
    """{name: default}; None where it is told in words, of those that may be missing."""
    found = {}
    for path in glob.glob("scripts/*/init.lua"):
        bundle = path.split("/")[1]
        with open(path, encoding="utf-8") as file:
            declared = re.search(r"tide\.config \{\n(.*?)^\}", file.read(), re.M | re.S)
        for name, default, generated, optional in re.findall(
                r'^  (\w+) = \{ "\w+", (?:default = "?([^",]*)"?,|(generate)|(optional)) ', declared[1] if declared else "", re.M):
            found[f"{bundle}.{name}"] = None if optional else "generated" if generated else default or "none"
    return found


def metrics(url):
    """{name: (type, labels)}; a histogram's le is left out."""
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    found = {name: (kind, set()) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)}
    for name, labels in re.findall(r"^([a-z_]+)\{(.*)\} ", text, re.M):
        name = name if name in found else re.sub("_(bucket|sum|count)$", "", name)
        found[name][1].update(set(re.findall(r'(\w+)="', labels)) - {"le"})
    return found


def main():
    tidemill, url = sys.argv[1:]
    compare("the settings and their defaults", settings(tidemill), {row[0]: row[2] for row in table("Settings")})
    compare("the settings of the bundles", settings_of_bundles(), {row[0]: row[2] for row in table("Settings of the bundles")})
    compare("the metrics, their types and labels", metrics(url),
            {row[0]: (row[1], set(row[2].replace("-", "").replace(",", " ").split())) for row in table("Metrics")})
    sys.exit(failures > 0)


main()
