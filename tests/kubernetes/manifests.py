"""Checks manifests that `kubectl kustomize` has put together; called by scripts/test-kubernetes.

    manifests.py validate ASSEMBLED               every resource against its schema
    manifests.py environment ASSEMBLED FOLDER     prints the container's environment, NAME=VALUE; secret files go to FOLDER
    manifests.py check ASSEMBLED EFFECTIVE        whether the resources fit each other and what `weir check` said (EFFECTIVE)
    manifests.py selftest ASSEMBLED EFFECTIVE     breaks the manifests in many ways: each must be found

Exit status: 0 all good, 1 with one line for each problem.
"""

import copy
import os
import re
import sys

import jsonschema
import kubernetes_validate
import yaml
from schemas import SCHEMAS

# The oldest version whose schema has all fields we use, and the newest that the package knows.
VERSIONS = ["1.27", kubernetes_validate.latest_version()]
# What Kubernetes adds to a pod's name; the environment is checked with one such value.
POD = "weir-7d4b9c8f6d-x2x5q"


class Tree:
    """The resources of one assembly, by kind and name."""

    def __init__(self, documents):
        self.documents = documents

    def all(self, kind):
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind):
        found = self.all(kind)
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources of kind {kind}, expected one")
        return found[0]

    def named(self, kind, name):
        for document in self.all(kind):
            if document["metadata"]["name"] == name:
                return document
        raise LookupError(f"no {kind} is called {name}")

    @property
    def pod(self):
        return self.one("Deployment")["spec"]["template"]

    @property
    def container(self):
        containers = self.pod["spec"]["containers"]
        if len(containers) != 1:
            raise LookupError(f"{len(containers)} containers, expected one")
        return containers[0]


def load(path):
    with open(path, encoding="utf-8") as text:
        return Tree([document for document in yaml.safe_load_all(text) if document])


def schema_problems(tree):
    for document in tree.documents:
        label = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] in SCHEMAS:
            for error in jsonschema.Draft202012Validator(SCHEMAS[document["kind"]]).iter_errors(document):
                yield f"{label}: {error.json_path}: {error.message}"
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{label}: Kubernetes {version}: {'.'.join(str(part) for part in error.path)}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{label}: {error.message}"


def secret_data(tree, name):
    secret = tree.named("Secret", name)
    return {**secret.get("data", {}), **secret.get("stringData", {})}


def environment(tree):
    """Name and value of every variable the container gets."""
    variables = {}
    for source in tree.container.get("envFrom", []):
        variables.update(tree.named("ConfigMap", source["configMapRef"]["name"])["data"])
    for variable in tree.container.get("env", []):
        if "value" in variable:
            variables[variable["name"]] = variable["value"]
        elif variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}:
            variables[variable["name"]] = POD
        else:
            raise LookupError(f"{variable['name']}: valueFrom is not understood here")
    return variables


def mounted_files(tree):
    """Path and content of every file that a Secret puts into the container."""
    volumes = {volume["name"]: volume for volume in tree.pod["spec"].get("volumes", [])}
    files = {}
    for mount in tree.container.get("volumeMounts", []):
        volume = volumes.get(mount["name"])
        if volume is None:
            raise LookupError(f"volume {mount['name']} is mounted and not there")
        for key, value in secret_data(tree, volume["secret"]["secretName"]).items():
            files[f"{mount['mountPath']}/{key}"] = value
    return files


def print_environment(tree, folder):
    """The environment, with the files of secrets below `folder` instead of their mount."""
    moved = {}
    for path, value in mounted_files(tree).items():
        moved[path] = os.path.join(folder, path.strip("/").replace("/", "-"))
        with open(moved[path], "w", encoding="utf-8") as file:
            file.write(value)
    for name, value in environment(tree).items():
        print(f"{name}={moved.get(value, value)}")


def parse_effective(path):
    """What `weir check` printed: the value of every setting, and where it comes from."""
    settings = {}
    with open(path, encoding="utf-8") as text:
        for line in text:
            match = re.match(r"^([A-Z][A-Z0-9_]+) +(\S.*?) +(environment|default)$", line)
            if match:
                settings[match[1]] = (match[2], match[3])
    return settings


def fits(selector, labels):
    return all(labels.get(name) == value for name, value in selector.items())


def probe_seconds(probe):
    return probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)


def pod_problems(tree, number):
    """The Deployment against the settings."""
    spec = tree.pod["spec"]
    container = tree.container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports.get("http") != number("SERVICE_PORT"):
        yield f"port http is {ports.get('http')}, SERVICE_PORT {number('SERVICE_PORT')}"
    grace = spec["terminationGracePeriodSeconds"] * 1000
    if grace <= number("SHUTDOWN_TIMEOUT_MS") + number("SHUTDOWN_DELAY_MS"):
        yield f"terminationGracePeriodSeconds: {grace} ms is not above SHUTDOWN_TIMEOUT_MS and SHUTDOWN_DELAY_MS"
    if number("SHUTDOWN_DELAY_MS") < 5000:
        yield "SHUTDOWN_DELAY_MS: Services need some 5000 to notice"
    if number("TEST_EVENT_INTERVAL_MS") != 0:
        yield "TEST_EVENT_INTERVAL_MS: test events are not off"
    attempts = number("MAX_RETRY_ATTEMPTS")
    delays = number.delays()
    waits = sum(delays[min(index, len(delays) - 1)] for index in range(attempts - 1))
    start = waits + attempts * number("CONNECTION_TIMEOUT")
    paths = {"startupProbe": "/health/live", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}
    for name, path in paths.items():
        probe = container.get(name)
        if probe is None:
            yield f"{name} is missing"
            continue
        if probe["httpGet"]["path"] != path or probe["httpGet"]["port"] not in ports:
            yield f"{name} asks {probe['httpGet']}"
        if probe.get("timeoutSeconds", 1) < 2:
            yield f"{name}: a second is too short on a busy node"
    allowed = probe_seconds(container.get("startupProbe", {})) * 1000
    if allowed < max(90_000, start):
        yield f"startupProbe: {allowed} ms, a start takes up to {start}"
    context = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
    for name, value in {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items():
        if context.get(name) != value:
            yield f"securityContext: {name} is {context.get(name)}, not {value}"
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false"
    memory = container["resources"]["limits"]["memory"]
    if not memory.endswith("Mi") or int(memory[:-2]) * 1048576 < 3 * number("MAX_IN_FLIGHT_BYTES"):
        yield f"limits: memory {memory} is less than three times MAX_IN_FLIGHT_BYTES"
    if ":" not in container["image"] or container["image"].endswith(":latest"):
        yield f"image {container['image']} has no version"
    if not spec.get("topologySpreadConstraints"):
        yield "topologySpreadConstraints are missing"
    variables = environment(tree)
    for path in (value for name, value in variables.items() if name.endswith("_FILE")):
        if path not in mounted_files(tree):
            yield f"{path} is in no Secret"


def wiring_problems(tree, settings):
    """Names, labels and ports that must agree."""
    deployment = tree.one("Deployment")
    labels = tree.pod["metadata"]["labels"]
    selectors = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "Service": tree.one("Service")["spec"]["selector"],
        "PodDisruptionBudget": tree.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": tree.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    }
    for index, spread in enumerate(tree.pod["spec"]["topologySpreadConstraints"]):
        selectors[f"topologySpreadConstraints {index}"] = spread["labelSelector"]["matchLabels"]
    for kind, selector in selectors.items():
        if not selector or not fits(selector, labels):
            yield f"{kind}: {selector} does not select the pods, {labels}"
    budget = tree.one("PodDisruptionBudget")["spec"]
    if budget.get("maxUnavailable") != 1 or budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield "PodDisruptionBudget: could hold up the drain of a node"
    ports = {port["name"] for port in tree.container["ports"]}
    for port in tree.one("Service")["spec"]["ports"]:
        if port["targetPort"] not in ports:
            yield f"Service: no container port is called {port['targetPort']}"
    policy = tree.one("NetworkPolicy")["spec"]
    for rule in policy["ingress"]:
        if not rule.get("from"):
            yield "NetworkPolicy: everybody may come in"
        if [port["port"] for port in rule.get("ports", [])] != ["http"]:
            yield "NetworkPolicy: ingress is not for port http alone"
    redis_port = int(settings["REDIS_PORT"][0])
    if not any(port["port"] == redis_port for rule in policy["egress"] for port in rule.get("ports", [])):
        yield f"NetworkPolicy: Redis' port {redis_port} is not let out"
    for secret in tree.all("Secret"):
        for key, value in secret.get("stringData", {}).items():
            if key != "username" and value != "REPLACE-ME":
                yield f"Secret {secret['metadata']['name']}: {key} looks like a real one"
        if secret.get("data"):
            yield f"Secret {secret['metadata']['name']}: data hides what it holds; use stringData"
    for name in environment(tree):
        if name == "POD_NAME":
            continue
        if settings.get(name, ("", ""))[1] != "environment":
            yield f"{name} is no setting of weir"
        if re.search("(PW|PASSWORD|KEY|SECRET)$", name):
            yield f"{name}: secrets belong into a Secret"


def scaling_problems(tree, settings):
    """The ScaledObject against Deployment, Secret and settings."""
    scaled = tree.one("ScaledObject")["spec"]
    deployment = tree.one("Deployment")
    if scaled["scaleTargetRef"]["name"] != deployment["metadata"]["name"]:
        yield "ScaledObject: another target than the Deployment"
    if "replicas" in deployment["spec"]:
        yield "Deployment: replicas would be set back at every apply; they are KEDA's"
    if not 0 <= scaled["minReplicaCount"] < scaled["maxReplicaCount"]:
        yield "ScaledObject: minReplicaCount is not below maxReplicaCount"
    kinds = []
    variables = environment(tree)
    expected = {"stream": "STREAM", "consumerGroup": "CONSUMER_GROUP", "databaseIndex": "REDIS_DB"}
    for trigger in scaled["triggers"]:
        metadata = trigger["metadata"]
        # KEDA takes the lag when both are given, and 0 as not given.
        if int(metadata.get("lagCount", "0")) > 0:
            kinds.append("lag")
        elif int(metadata.get("pendingEntriesCount", "0")) > 0:
            kinds.append("pending")
        # More than this many wake it: 1 would need two events.
        if metadata.get("activationLagCount", "0") != "0":
            yield f"ScaledObject: trigger {trigger['name']} does not wake at a single event"
        for key, setting in expected.items():
            if metadata.get(key) != settings[setting][0]:
                yield f"ScaledObject: {key} is {metadata.get(key)}, {setting} {settings[setting][0]}"
        for key, setting in {"hostFromEnv": "REDIS_HOST", "portFromEnv": "REDIS_PORT"}.items():
            if metadata.get(key) != setting or setting not in variables:
                yield f"ScaledObject: {key} is {metadata.get(key)}, not {setting}"
        authentication = tree.named("TriggerAuthentication", trigger["authenticationRef"]["name"])
        for target in authentication["spec"]["secretTargetRef"]:
            if target["key"] not in secret_data(tree, target["name"]):
                yield f"TriggerAuthentication: Secret {target['name']} has no {target['key']}"
    if sorted(kinds) != ["lag", "pending"]:
        yield f"ScaledObject: triggers for {kinds}; by lag alone a group with work in hand looks idle"


def monitor_problems(tree):
    """The ServiceMonitor against the Service."""
    monitor = tree.one("ServiceMonitor")["spec"]
    service = tree.one("Service")
    if not fits(monitor["selector"]["matchLabels"], service["metadata"]["labels"]):
        yield "ServiceMonitor: does not select the Service"
    if service["metadata"]["labels"].get(monitor.get("jobLabel")) != "weir":
        yield "ServiceMonitor: the job is not weir, as an alarm expects"
    for endpoint in monitor["endpoints"]:
        if endpoint["port"] not in {port["name"] for port in service["spec"]["ports"]}:
            yield f"ServiceMonitor: the Service has no port {endpoint['port']}"
        if endpoint["path"] != "/metrics":
            yield f"ServiceMonitor: path {endpoint['path']}"


class Numbers:
    """The settings as numbers."""

    def __init__(self, settings):
        self.settings = settings

    def __call__(self, name):
        return int(self.settings[name][0])

    def delays(self):
        return [int(delay) for delay in self.settings["RETRY_DELAYS"][0].split(",")]


def problems(tree, settings):
    """Everything that does not fit."""
    parts = [pod_problems(tree, Numbers(settings)), wiring_problems(tree, settings)]
    if tree.all("ScaledObject"):
        parts.append(scaling_problems(tree, settings))
    if tree.all("ServiceMonitor"):
        parts.append(monitor_problems(tree))
    found = []
    for part in parts:
        try:
            found.extend(part)
        except (LookupError, KeyError) as error:
            found.append(f"something is missing: {error}")
    return found


# Each breaks one thing: where, and what stands there then (None: nothing).
BREAKS = [
    ("Deployment", "spec.template.spec.terminationGracePeriodSeconds", 35),
    ("Deployment", "spec.template.spec.containers.0.ports.0.containerPort", 8001),
    ("Deployment", "spec.template.spec.containers.0.ports.0.name", "web"),
    ("Deployment", "spec.template.spec.containers.0.startupProbe.failureThreshold", 44),
    ("Deployment", "spec.template.spec.containers.0.startupProbe", None),
    ("Deployment", "spec.template.spec.containers.0.livenessProbe.httpGet.path", "/health/ready"),
    ("Deployment", "spec.template.spec.containers.0.readinessProbe.httpGet.path", "/health/live"),
    ("Deployment", "spec.template.spec.containers.0.readinessProbe.timeoutSeconds", 1),
    ("Deployment", "spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem", False),
    ("Deployment", "spec.template.spec.containers.0.securityContext.capabilities", None),
    ("Deployment", "spec.template.spec.securityContext.runAsUser", 0),
    ("Deployment", "spec.template.spec.automountServiceAccountToken", None),
    ("Deployment", "spec.template.spec.containers.0.resources.limits.memory", "128Mi"),
    ("Deployment", "spec.template.spec.containers.0.image", "weir"),
    ("Deployment", "spec.template.spec.containers.0.envFrom.0.configMapRef.name", "elsewhere"),
    ("Deployment", "spec.template.spec.volumes.0.secret.secretName", "elsewhere"),
    ("Deployment", "spec.template.spec.volumes", None),
    ("Deployment", "spec.template.metadata.labels", {"app.kubernetes.io/name": "other"}),
    ("Deployment", "spec.selector.matchLabels", {"app.kubernetes.io/name": "other"}),
    ("Deployment", "spec.replicas", 2),
    ("Deployment", "metadata.name", "other"),
    ("Service", "spec.selector", {"app.kubernetes.io/name": "other"}),
    ("Service", "spec.ports.0.targetPort", "web"),
    ("Service", "metadata.labels", {"app.kubernetes.io/name": "other"}),
    ("PodDisruptionBudget", "spec.selector.matchLabels", {"app.kubernetes.io/name": "other"}),
    ("PodDisruptionBudget", "spec.unhealthyPodEvictionPolicy", None),
    ("NetworkPolicy", "spec.podSelector.matchLabels", {"app.kubernetes.io/name": "other"}),
    ("NetworkPolicy", "spec.ingress.0.from", None),
    ("NetworkPolicy", "spec.egress.1.ports.0.port", 6380),
    ("ConfigMap", "data.TEST_EVENT_INTERVALL_MS", "0"),
    ("ConfigMap", "data.REDIS_PW", "secret"),
    ("ConfigMap", "data.REDIS_PW_FILE", "/run/secrets/weir/password"),
    ("Secret", "stringData.redis-password", "hunter2"),
    ("ScaledObject", "spec.scaleTargetRef.name", "other"),
    ("ScaledObject", "spec.minReplicaCount", 6),
    ("ScaledObject", "spec.triggers.0.metadata.stream", "other"),
    ("ScaledObject", "spec.triggers.0.metadata.activationLagCount", "1"),
    ("ScaledObject", "spec.triggers.1.metadata.consumerGroup", "other"),
    ("ScaledObject", "spec.triggers.1.metadata.lagCount", "5"),
    ("ScaledObject", "spec.triggers.1.metadata.pendingEntriesCount", None),
    ("ScaledObject", "spec.triggers.1.metadata.pendingEntryCount", "5"),
    ("ScaledObject", "spec.triggers.1.metadata.portFromEnv", "PORT"),
    ("ScaledObject", "spec.triggers.1.authenticationRef.name", "other"),
    ("ScaledObject", "spec.fallback.behaviour", "static"),
    ("TriggerAuthentication", "spec.secretTargetRef.1.key", "secret"),
    ("ServiceMonitor", "spec.selector.matchLabels", {"app.kubernetes.io/name": "other"}),
    ("ServiceMonitor", "spec.endpoints.0.port", "web"),
    ("ServiceMonitor", "spec.endpoints.0.path", "/"),
    ("ServiceMonitor", "spec.endpoints.0.intervall", "15s"),
    ("ServiceMonitor", "spec.jobLabel", None),
    ("PrometheusRule", "spec.groups.0.rules.0.severity", "critical"),
    ("PrometheusRule", "spec.groups.0.rules.1.for", "five minutes"),
    ("Service", "spec.port", 80),
    ("Deployment", "spec.template.spec.containers.0.livenesProbe", {}),
]


def broken(tree, kind, path, value):
    """A copy with one thing changed."""
    tree = Tree(copy.deepcopy(tree.documents))
    if kind == "ConfigMap":
        at = tree.named(kind, tree.container["envFrom"][0]["configMapRef"]["name"])
    else:
        at = tree.all(kind)[0]
    *parents, last = path.split(".")
    for parent in parents:
        at = at[int(parent)] if isinstance(at, list) else at[parent]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return tree


def undetected(tree, settings):
    # Against manifests that are wrong already every break would seem to be found.
    yield from problems(tree, settings)
    yield from schema_problems(tree)
    for kind, path, value in BREAKS:
        changed = broken(tree, kind, path, value)
        if not problems(changed, settings) and not list(schema_problems(changed)):
            yield f"not found: {kind} {path} = {value}"


def main(command, assembled, *rest):
    tree = load(assembled)
    if command == "environment":
        print_environment(tree, *rest)
        return 0
    if command == "validate":
        found = list(schema_problems(tree))
    elif command == "check":
        found = problems(tree, parse_effective(*rest))
    elif command == "selftest":
        found = list(undetected(tree, parse_effective(*rest)))
    else:
        raise SystemExit(f"unknown command {command}")
    for problem in found:
        print(problem, file=sys.stderr)
    if not found and command == "selftest":
        print(f"{len(BREAKS)} broken manifests, each found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
