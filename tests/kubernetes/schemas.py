"""What the custom resource definitions allow, for the fields we use: no other field passes.

Written after KEDA 2.20 (keda.sh/v1alpha1, pkg/scalers/redis_streams_scaler.go) and the Prometheus operator 0.93
(monitoring.coreos.com/v1), as of August 2026. Kubernetes' own kinds are checked by kubernetes-validate.
"""

DURATION = r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
TEXT = {"type": "string", "minLength": 1}
WORDS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "string", "pattern": r"^[0-9]+$"}


def record(required, **optional):
    """An object with these members and no others."""
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def listed(items, least=1):
    return {"type": "array", "items": items, "minItems": least}


METADATA = record({"name": NAME}, namespace=NAME, labels=WORDS, annotations=WORDS)


def resource(kind, version, spec):
    return record({"apiVersion": {"const": version}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec})


WHOLE = {"type": "integer", "minimum": 0}
POLICY = record(
    {"type": {"enum": ["Pods", "Percent"]}, "value": {"type": "integer", "minimum": 1}},
    periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
)
SCALING_RULES = record(
    {},
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies=listed(POLICY),
)
# KEDA takes any metadata and ignores what it does not know: a misspelt name would silently scale by something else.
REDIS_STREAMS = record(
    {"stream": TEXT, "consumerGroup": TEXT},
    address=TEXT, addressFromEnv=TEXT, host=TEXT, hostFromEnv=TEXT, port=TEXT, portFromEnv=TEXT,
    usernameFromEnv=TEXT, passwordFromEnv=TEXT,
    lagCount=COUNT, activationLagCount=COUNT, pendingEntriesCount=COUNT, streamLength=COUNT, databaseIndex=COUNT,
    enableTLS={"enum": ["true", "false"]}, unsafeSsl={"enum": ["true", "false"]},
)
TRIGGER = record(
    {"type": {"const": "redis-streams"}, "metadata": REDIS_STREAMS},
    name=NAME,
    metricType={"enum": ["AverageValue", "Value"]},
    useCachedMetrics={"type": "boolean"},
    authenticationRef=record({"name": NAME}, kind={"enum": ["TriggerAuthentication", "ClusterTriggerAuthentication"]}),
)
SCALED_OBJECT = record(
    {
        "scaleTargetRef": record({"name": NAME}, kind=TEXT, apiVersion=TEXT, envSourceContainerName=NAME),
        "triggers": listed(TRIGGER),
    },
    minReplicaCount=WHOLE, maxReplicaCount=WHOLE, idleReplicaCount=WHOLE,
    pollingInterval=WHOLE, cooldownPeriod=WHOLE, initialCooldownPeriod=WHOLE,
    fallback=record(
        {"failureThreshold": WHOLE, "replicas": WHOLE},
        behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]},
    ),
    advanced=record(
        {},
        restoreToOriginalReplicaCount={"type": "boolean"},
        horizontalPodAutoscalerConfig=record({}, name=NAME, behavior=record({}, scaleUp=SCALING_RULES, scaleDown=SCALING_RULES)),
    ),
)
TRIGGER_AUTHENTICATION = record(
    {"secretTargetRef": listed(record({"parameter": {"enum": ["username", "password", "tls", "ca", "cert", "key"]}, "name": NAME, "key": TEXT}))}
)
SELECTOR = record({"matchLabels": WORDS})
ENDPOINT = record(
    {"port": NAME, "path": {"type": "string", "pattern": "^/"}},
    interval={"type": "string", "pattern": DURATION},
    scrapeTimeout={"type": "string", "pattern": DURATION},
    scheme={"enum": ["http", "https"]},
)
SERVICE_MONITOR = record(
    {"selector": SELECTOR, "endpoints": listed(ENDPOINT)},
    jobLabel=TEXT, namespaceSelector=record({}, any={"type": "boolean"}, matchNames=listed(NAME)), targetLabels=listed(TEXT), podTargetLabels=listed(TEXT),
)
RULE = record(
    {"alert": {"type": "string", "pattern": "^Weir[A-Za-z]+$"}, "expr": TEXT, "labels": record({"severity": {"enum": ["critical", "warning", "info"]}}),
     "annotations": record({"summary": TEXT, "description": TEXT})},
    **{"for": {"type": "string", "pattern": DURATION, "minLength": 1}},
)
PROMETHEUS_RULE = record({"groups": listed(record({"name": TEXT, "rules": listed(RULE)}, interval={"type": "string", "pattern": DURATION}))})

SCHEMAS = {
    "ScaledObject": resource("ScaledObject", "keda.sh/v1alpha1", SCALED_OBJECT),
    "TriggerAuthentication": resource("TriggerAuthentication", "keda.sh/v1alpha1", TRIGGER_AUTHENTICATION),
    "ServiceMonitor": resource("ServiceMonitor", "monitoring.coreos.com/v1", SERVICE_MONITOR),
    "PrometheusRule": resource("PrometheusRule", "monitoring.coreos.com/v1", PROMETHEUS_RULE),
}
