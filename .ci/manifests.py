"""Checks objects against Kubernetes' schemas, and pods against the restricted Pod Security Standard. Arguments: files."""

import sys

import kubernetes_validate
import yaml

# Of other projects, which have schemas of their own.
FOREIGN = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")


def is_restricted(pod):
    """Whether a pod is what the standard wants: no root, no capability, no file system to write to but volumes."""
    context = pod["securityContext"]
    containers = [container["securityContext"] for container in pod["containers"]]
    return (
        context["runAsNonRoot"]
        and context["seccompProfile"]["type"] == "RuntimeDefault"
        and all(
            not one["allowPrivilegeEscalation"] and one["readOnlyRootFilesystem"] and one["capabilities"] == {"drop": ["ALL"]}
            for one in containers
        )
    )


count = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        for document in filter(None, yaml.safe_load_all(file)):
            if document["apiVersion"].startswith(FOREIGN):
                continue
            try:
                kubernetes_validate.validate(document, "1.37", strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{path}: {document['kind']}: {error}")
            if document["kind"] in ("StatefulSet", "Deployment") and not is_restricted(document["spec"]["template"]["spec"]):
                sys.exit(f"{path}: {document['metadata']['name']} is more than a restricted pod may be")
            count += 1
print(f"{count} objects are what Kubernetes 1.37 takes")
