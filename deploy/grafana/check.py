#!/usr/bin/env python3
"""Whether alerts and dashboards ask for what there is.

    check.py METRICS.txt...     what /metrics of every role has answered

Fails where a query of a dashboard or a rule names a metric, one of its labels or a value that none of the files has, and where
an alert has no test or no paragraph in the runbook. Files are found from this one's place. Needs PyYAML.
"""

import collections
import json
import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
RULES = DEPLOY / "prometheus" / "alerts.yaml"
RUNBOOK = DEPLOY.parent / "docs" / "running.md"
# What Prometheus makes itself, and the labels that it adds.
OWN_METRICS = {"up": {"job"}, "ALERTS": {"alertname", "alertstate", "severity"}}
OWN_LABELS = {"job", "instance", "role", "le"}
# Labels of which a scrape has every value that is asked for; a status comes only when something goes wrong.
CLOSED_LABELS = {"route", "kind", "outcome", "state"}
WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan"}

LABEL = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
SELECTOR = re.compile(r"(?<![\w.$:])([a-zA-Z_:][\w:]*)(?![\w:])\s*(\{[^}]*\})?(?!\s*\()")
NO_SELECTOR = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\[[^\]]*\]")


def scraped(files):
    """Metric -> label -> values."""
    seen = collections.defaultdict(lambda: collections.defaultdict(set))
    for file in files:
        for line in pathlib.Path(file).read_text().splitlines():
            sample = re.match(r"([a-zA-Z_:][\w:]*)(\{.*\})? ", line)
            if sample:
                labels = seen[sample[1]]
                for name, _, value in LABEL.findall(sample[2] or ""):
                    labels[name].add(value)
    return seen


def selectors(query):
    """The (metric, matchers) of a query."""
    for found in SELECTOR.finditer(NO_SELECTOR.sub(" ", query)):
        if found[1].lower() not in WORDS:
            yield found[1], LABEL.findall(found[2] or "")


def misses(query, seen, recorded):
    """What a query asks for that is not there."""
    for metric, matchers in selectors(query):
        if metric in recorded:
            continue
        if metric not in seen and metric not in OWN_METRICS:
            yield f"there is no metric {metric}"
            continue
        for label, operator, value in matchers:
            if label in OWN_LABELS or label in OWN_METRICS.get(metric, ()):
                continue
            if label not in seen[metric]:
                yield f"{metric} has no label {label}"
            elif label in CLOSED_LABELS and "$" not in value:
                for part in value.split("|") if "~" in operator else [value]:
                    if part not in seen[metric][label]:
                        yield f'{metric} was never seen with {label}="{part}"'


def queries_of(panel):
    """(where, query) of a part of a dashboard, whatever it is in: everything named `expr`, and variables."""
    if isinstance(panel, dict):
        where = panel.get("title") or panel.get("name") or ""
        for key, value in panel.items():
            if key == "expr":
                yield where, value
            elif key == "definition" and (asked := re.match(r"label_values\((.*), (\w+)\)$", value)):
                yield where, f'{asked[1]}{{{asked[2]}="$"}}'
            else:
                yield from ((inner or where, query) for inner, query in queries_of(value))
    elif isinstance(panel, list):
        for part in panel:
            yield from queries_of(part)


def main(files):
    seen = scraped(files)
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    asked = [(f"{RULES.name}: {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules]
    for file in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        asked += [(f"{file.name}: {where}", query) for where, query in queries_of(json.loads(file.read_text()))]
    wrong = [f"{where}: {miss}" for where, query in asked for miss in misses(query, seen, recorded)]

    headings = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    tests = (RULES.parent / "alerts_test.yaml").read_text()
    alerts = [rule for rule in rules if "alert" in rule]
    for alert in (rule["alert"] for rule in alerts):
        wrong += [f"{alert}: no paragraph in {RUNBOOK.name}"] if alert not in headings else []
        wrong += [f"{alert}: no test"] if f'"{alert}"' not in tests else []
    wrong += [f"{rule['alert']}: its runbook_url leads elsewhere" for rule in alerts
              if not rule["annotations"]["runbook_url"].endswith(f"{RUNBOOK.name}#{rule['alert'].lower()}")]

    print("\n".join(wrong) or f"{len(asked)} queries ask for what there is; {len(alerts)} alerts have a test and a paragraph")
    return bool(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
