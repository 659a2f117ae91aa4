"""Whether a chart's roles allow the calls that the control plane makes, and nothing else.

Arguments: the file with the calls, written by the tests against an API server; the rendered chart.
"""

import sys

import yaml

VERBS = {"DELETE": ["delete"], "POST": ["create"], "PUT": ["update"], "PATCH": ["patch"]}
# What is watched where it is listed.
WATCHED = {"showdeployments"}
# Patched where it is, never made by a patch.
NEVER_MADE = {"persistentvolumes", "showdeployments", "showdeployments/status"}


def needed(call):
    """The permissions of one call: group, resource and verb."""
    method, path = call.split()
    parts = path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource = "/".join([rest[0], *rest[2:]])
    if method == "GET":
        verbs = ["get"] if len(rest) > 1 else ["list", "watch"] if rest[0] in WATCHED else ["list"]
    else:
        verbs = VERBS[method]
    if method == "PATCH" and resource not in NEVER_MADE:
        verbs = ["patch", "create"]  # Server-side apply makes what is not there.
    return {(group, resource, verb) for verb in verbs}


def allowed(rules):
    """All that rules allow."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


with open(sys.argv[1], encoding="utf-8") as file:
    wanted = set().union(*(needed(call) for call in file.read().splitlines()))
with open(sys.argv[2], encoding="utf-8") as file:
    objects = [document for document in yaml.safe_load_all(file) if document]
with open("control-plane/tests/kubernetes/theatre.yaml", encoding="utf-8") as file:
    shown = [document for document in yaml.safe_load_all(file) if document["kind"] == "Role"]
# Nobody may give what they do not have.
given = allowed(rule for role in shown for rule in role["rules"])
may = allowed(rule for role in objects if role["kind"] in ("ClusterRole", "Role") for rule in role["rules"])
lacking, idle = wanted - may, may - wanted - given
if lacking or idle or given - may:
    sys.exit(f"the chart's roles lack {sorted(lacking)}, cannot give {sorted(given - may)}, and allow for nothing {sorted(idle)}")
print(f"the chart's roles allow the {len(wanted | given)} things that are asked for, and nothing else")
