"""k8s/tools/bundles, on bundles of all kinds."""
import pathlib
import subprocess
import tempfile

import yaml

TOOL = pathlib.Path(__file__).resolve().parents[1] / "tools/bundles"
SCRIPTS = TOOL.parents[2] / "scripts"


def run(scripts, *options):
    return subprocess.run([TOOL, *options, scripts], capture_output=True, text=True, timeout=60)


def make(scripts, files):
    for path, text in files.items():
        (scripts / path).parent.mkdir(parents=True, exist_ok=True)
        (scripts / path).write_text(text)


def written(files, *options):
    """What it writes for these files, its exit code and what it says."""
    with tempfile.TemporaryDirectory() as directory:
        scripts = pathlib.Path(directory)
        make(scripts, files)
        done = run(scripts, *options)
        target = scripts / "kustomization.yaml"
        text = target.read_text() if target.exists() else "{}"
    return yaml.safe_load(text), done.returncode, done.stderr


def keys(component):
    return {entry["name"]: entry["files"] for entry in component["configMapGenerator"]}


def items(component):
    volume = yaml.safe_load(component["patches"][0]["patch"])["spec"]["template"]["spec"]["volumes"][0]["configMap"]
    return volume.get("items")


def stale():
    with tempfile.TemporaryDirectory() as directory:
        scripts = pathlib.Path(directory)
        make(scripts, {"b/init.lua": ""})
        before = run(scripts).returncode == 0 and run(scripts, "--check").returncode == 0
        make(scripts, {"b/more.lua": ""})
        after = run(scripts, "--check")
    return before and after.returncode == 1 and "run k8s/tools/bundles" in after.stderr


def outcomes():
    """(name, whether it is so)."""
    up_to_date = run(SCRIPTS, "--check")
    yield "scripts/kustomization.yaml is what the bundles give, and none is near a limit", not up_to_date.returncode and not up_to_date.stderr
    flat, code, said = written({"b/init.lua": "", "b/page.html": "", "b/spec/b_spec.lua": "", "b/.hidden": "", "notes/text": ""})
    yield "a bundle's files are keys, without its specs, dot files and what is no bundle", (code, said, keys(flat)) == (
        0, "", {"b-scripts": ["init.lua=b/init.lua", "page.html=b/page.html"]})
    yield "a flat bundle takes keys that are added later", items(flat) is None
    nested, code, _ = written({"b/init.lua": "", "b/pages/de/a.html": ""})
    yield "a sub-folder's file has its path in the pod", not code and items(nested) == [
        {"key": "init.lua", "path": "init.lua"}, {"key": "pages.de.a.html", "path": "pages/de/a.html"}]
    library, code, _ = written({"lib/money.lua": "", "b/init.lua": ""})
    yield "the modules in lib are mounted wherever a bundle is", not code and "tidemill/bundle" in [
        patch["target"]["annotationSelector"] for patch in library["patches"]]
    _, code, said = written({"b/init.lua": "", "b/a.b.lua": "", "b/a/b.lua": ""})
    yield "two files that would be one key are refused", code == 1 and "a/b.lua and a.b.lua would both be the key a.b.lua" in said
    _, code, said = written({"b/init.lua": "", "b/für.lua": ""})
    yield "so is a name that can't be a key", code == 1 and "für.lua: the name has what a ConfigMap's key can't" in said
    _, code, said = written({"b/init.lua": "x" * 1048577})
    yield "so is a bundle that is larger than a ConfigMap", code == 1 and "1048577 bytes, but a ConfigMap holds 1048576" in said
    _, code, said = written({"b/init.lua": "x" * 900000})
    yield "one that comes near is told", code == 0 and "900000 bytes of the 1048576" in said
    _, code, said = written({"b/init.lua": "x" * 220000})
    yield "and one that comes near what kubectl apply takes", code == 0 and "--server-side" in said
    yield "a file that was added since is told by --check", stale()


def cases():
    """(name, what is wrong)."""
    for name, good in outcomes():
        yield name, [] if good else ["it is not so"]
