"""Checks alarms and dashboard; called by scripts/test-kubernetes.

    monitoring.py rules ASSEMBLED RULES           writes the PrometheusRule as a plain file of rules
    monitoring.py alerts RULES TESTS README       every alarm is tested firing and silent, and explained in the README
    monitoring.py dashboard DASHBOARD RULES       Grafana's own model of a dashboard keeps all of it; its queries go to RULES, for promtool
    monitoring.py names DASHBOARD RULES PAGE      every metric that is asked for stands on the page of a real /metrics, and the other way round
    monitoring.py live DASHBOARD URL              a real Prometheus at URL has a value for every query of the dashboard, and all alarms

Exit status: 0 all good, 1 with one line for each problem.
"""

import json
import re
import sys
import time
import urllib.parse
import urllib.request

import yaml

# What stands on the page without being anybody's query.
UNUSED = {"process_virtual_memory_bytes"}
# Queries that rightly answer nothing while all is well: no group keeps the stream from being trimmed.
EMPTY = {"weir_trim_floor_held"}
# Longest wait until Prometheus has values for everything, seconds: several scrapes of a second each.
PATIENCE = 60


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(dashboard):
    """Every query, with Grafana's variables filled in."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "1m")
            yield panel["title"], re.sub(r"\$(namespace|job|instance)\b", ".*", query)


def write_rules(assembled, path):
    with open(assembled, encoding="utf-8") as text:
        for document in yaml.safe_load_all(text):
            if document and document["kind"] == "PrometheusRule":
                with open(path, "w", encoding="utf-8") as out:
                    yaml.safe_dump(document["spec"], out, sort_keys=False)
                return
    yield "no PrometheusRule"


def read_rules(path):
    with open(path, encoding="utf-8") as text:
        return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def alert_problems(rules, tests, readme):
    names = [rule["alert"] for rule in read_rules(rules)]
    if len(names) != len(set(names)):
        yield "two alarms have one name"
    with open(tests, encoding="utf-8") as text:
        cases = [case for test in yaml.safe_load(text)["tests"] for case in test["alert_rule_test"]]
    with open(readme, encoding="utf-8") as text:
        explained = re.findall(r"^\| `(Weir\w+)` \|", text.read(), re.MULTILINE)
    for name in names:
        fired = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == name}
        if fired != {True, False}:
            yield f"{name}: not tested both firing and silent"
        if explained.count(name) != 1:
            yield f"{name}: {explained.count(name)} rows in the README"
    for name in {case["alertname"] for case in cases} | set(explained):
        if name not in names:
            yield f"{name}: no such alarm"


def lost(given, kept, path):
    """What of `given` is missing in `kept`, or different."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from lost(value, kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is not known to Grafana"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, pair in enumerate(zip(given, kept)):
            yield from lost(*pair, f"{path}[{index}]")
    elif given != kept:
        yield f"{path}: {given} becomes {kept}"


def grafana_keeps(dashboard):
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def dashboard_problems(path, rules):
    with open(path, encoding="utf-8") as text:
        dashboard = json.load(text)
    yield from lost(dashboard, grafana_keeps(dashboard), "dashboard")
    # A member that Grafana does not know must be noticed, else the line above says nothing.
    dashboard["panels"][1]["titel"] = "misspelt"
    if not list(lost(dashboard, grafana_keeps(dashboard), "dashboard")):
        yield "a misspelt member would not be noticed"
    identities = [panel["id"] for panel in panels(dashboard)]
    if len(identities) != len(set(identities)):
        yield "two panels have one id"
    taken = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{panel['title']}: beyond the right edge"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    yield f"{panel['title']} lies over {taken[x, y]}"
        if panel["type"] != "row" and not panel.get("description"):
            yield f"{panel['title']}: no description"
        for target in panel.get("targets", []):
            if "instance=~" not in target["expr"]:
                yield f"{panel['title']}: does not keep to the chosen instances"
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    if variables != ["datasource", "namespace", "job", "instance"]:
        yield f"variables: {variables}"
    found = [query for _, query in queries(dashboard)]
    with open(rules, "w", encoding="utf-8") as out:
        group = {"name": "dashboard", "rules": [{"record": f"dashboard:query:{index}", "expr": query} for index, query in enumerate(found)]}
        yaml.safe_dump({"groups": [group]}, out)


def metrics_in(query):
    """The metrics a query names, as /metrics calls the family."""
    for name in re.findall(r"\b(?:weir|process)_[a-z_]+\b", query):
        yield re.sub(r"_(bucket|count|sum)$", "", name) if name.endswith(("_seconds_bucket", "_seconds_count", "_seconds_sum")) else name


def families(page):
    """The metrics of a page, as queries name them; and their types."""
    with open(page, encoding="utf-8") as text:
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text.read(), re.MULTILINE))
    suffix = {"counter": "_total", "info": "_info"}
    return {name if name.endswith(suffix.get(kind, "")) else name + suffix[kind] for name, kind in kinds.items()}


def name_problems(dashboard, rules, page):
    with open(dashboard, encoding="utf-8") as text:
        asked = {name for _, query in queries(json.load(text)) for name in metrics_in(query)}
    alarming = {name for rule in read_rules(rules) for name in metrics_in(rule["expr"])}
    real = families(page)
    if len(real) < 40:
        yield f"only {len(real)} metrics on the page"
    for name in sorted((asked | alarming) - real):
        yield f"{name} is asked for and does not exist"
    for name in sorted(real - asked - UNUSED):
        yield f"{name} is on no panel"


def ask(url, path, **parameters):
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        body = json.load(answer)
    if body["status"] != "success":
        raise OSError(f"{path}: {body}")
    return body["data"]


def live_problems(path, url):
    with open(path, encoding="utf-8") as text:
        waiting = list(queries(json.load(text)))
    waiting = [pair for pair in waiting if not EMPTY & set(metrics_in(pair[1]))]
    total = len(waiting)
    end = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < end:
        waiting = [pair for pair in waiting if not ask(url, "/api/v1/query", query=pair[1])["result"]]
        time.sleep(1)
    for title, query in waiting:
        yield f"{title}: no value for {query}"
    alarms = {}
    while time.monotonic() < end:
        alarms = {rule["name"]: rule for group in ask(url, "/api/v1/rules")["groups"] for rule in group["rules"]}
        if alarms and all(rule["health"] == "ok" for rule in alarms.values()):
            break
        time.sleep(1)
    for rule in alarms.values():
        if rule["health"] != "ok":
            yield f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
        if rule["state"] == "firing":
            yield f"{rule['name']} fires at a healthy weir"
    if not alarms:
        yield "Prometheus has loaded no alarms"
    print(f"a real Prometheus answers {total - len(waiting)} queries of the dashboard and evaluates {len(alarms)} alarms")


COMMANDS = {
    "rules": write_rules,
    "alerts": alert_problems,
    "dashboard": dashboard_problems,
    "names": name_problems,
    "live": live_problems,
}


def main(command, *rest):
    found = list(COMMANDS[command](*rest))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
