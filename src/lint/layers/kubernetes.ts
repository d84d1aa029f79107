import type { CheckedRule, Found } from "../rule.ts";
import { type Fields, textOr, toFields, toList } from "./fields.ts";

/** Documents of Kubernetes as the rules see them: each namespace in them is taken to be one tenant's. */
export class KubernetesSubject {
  readonly objects: readonly Fields[];
  readonly namespaces: readonly string[];

  constructor(objects: readonly Fields[]) {
    this.objects = objects.flatMap((each) => (each["kind"] === "List" ? toList(each["items"]).map(toFields) : [each]));
    this.namespaces = this.of("Namespace").map((each) => nameOf(each));
  }

  of(...kinds: readonly string[]): readonly Fields[] {
    return this.objects.filter((each) => kinds.includes(String(each["kind"])));
  }

  /** Objects of these kinds in one namespace. */
  inside(namespace: string, ...kinds: readonly string[]): readonly Fields[] {
    return this.of(...kinds).filter((each) => namespaceOf(each) === namespace);
  }

  /** Each pod, or what makes pods, that is in a tenant's namespace. */
  *pods(): Iterable<{ readonly object: string; readonly spec: Fields }> {
    for (const each of this.of("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")) {
      if (!this.namespaces.includes(namespaceOf(each))) continue;
      const spec = toFields(each["spec"]);
      const job = toFields(toFields(spec["jobTemplate"])["spec"]);
      const template = toFields(spec["template"] ?? job["template"]);
      yield { object: titleOf(each), spec: each["kind"] === "Pod" ? spec : toFields(template["spec"]) };
    }
  }
}

/** A rule that every tenant's namespace has an object of some kind. */
function needed(
  id: CheckedRule<KubernetesSubject>["id"],
  name: string,
  kind: string,
  means: string,
  has: (each: Fields) => boolean,
): CheckedRule<KubernetesSubject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const namespace of subject.namespaces) {
        if (subject.inside(namespace, kind).some(has)) continue;
        yield { object: `Namespace ${namespace}`, detail: `It has no such ${kind}.`, fix: [`add a ${kind} to the namespace`] };
      }
    },
  };
}

/** Rules about the Kubernetes documents of tenants. */
export const KUBERNETES_RULES: readonly CheckedRule<KubernetesSubject>[] = [
  needed(
    "FH601",
    "namespace-network-open",
    "NetworkPolicy",
    "A tenant's namespace has no policy that denies all traffic in and out by default: its pods reach every other tenant's.",
    (policy) => {
      const spec = toFields(policy["spec"]);
      const types = toList(spec["policyTypes"]);
      return Object.keys(toFields(spec["podSelector"])).length === 0 && types.includes("Ingress") && types.includes("Egress");
    },
  ),
  needed(
    "FH602",
    "namespace-without-quota",
    "ResourceQuota",
    "A tenant's namespace has no quota: one tenant takes the cluster.",
    () => true,
  ),
  needed("FH603", "namespace-without-limits", "LimitRange", "A tenant's namespace has no limits for a pod that names none.", () => true),
  {
    id: "FH604",
    name: "namespace-pods-unrestricted",
    severity: "error",
    means: "A tenant's namespace does not enforce the restricted pod standard: a pod may be made that leaves its sandbox.",
    *find(subject) {
      for (const each of subject.of("Namespace")) {
        const level = toFields(toFields(each["metadata"])["labels"])["pod-security.kubernetes.io/enforce"];
        if (level === "restricted") continue;
        const fix = ["label it pod-security.kubernetes.io/enforce: restricted"];
        yield { object: titleOf(each), detail: `It enforces ${typeof level === "string" ? level : "nothing"}.`, fix };
      }
    },
  },
  {
    id: "FH605",
    name: "pod-on-host",
    severity: "error",
    means: "A tenant's pod has a part of the host: its network, processes, files, or the rights of root.",
    *find(subject) {
      for (const { object, spec } of subject.pods()) {
        const faults = hostParts(spec);
        if (faults.length > 0) yield { object, detail: `It has ${faults.join(", ")}.`, fix: [`take out ${faults.join(", ")}`] };
      }
    },
  },
  {
    id: "FH606",
    name: "pod-token-mounted",
    severity: "warning",
    means: "A tenant's pod gets a token for the API of the cluster.",
    *find(subject) {
      for (const { object, spec } of subject.pods())
        if (spec["automountServiceAccountToken"] !== false)
          yield { object, detail: "automountServiceAccountToken is not false.", fix: ["set automountServiceAccountToken: false"] };
    },
  },
  {
    id: "FH607",
    name: "account-bound-to-cluster",
    severity: "error",
    means: "A service account of a tenant has a role for the whole cluster.",
    *find(subject) {
      for (const binding of subject.of("ClusterRoleBinding")) {
        for (const { namespace, name } of accountsOf(binding))
          if (subject.namespaces.includes(namespace))
            yield {
              object: titleOf(binding),
              detail: `It binds ${namespace}/${name}.`,
              fix: ["use a RoleBinding in the tenant's namespace"],
            };
      }
    },
  },
  {
    id: "FH608",
    name: "account-of-other-namespace",
    severity: "error",
    means: "A service account of one namespace has a role in a tenant's.",
    *find(subject) {
      for (const binding of subject.of("RoleBinding")) {
        const own = namespaceOf(binding);
        const guest = accountsOf(binding).find(({ namespace }) => namespace !== own);
        if (guest && subject.namespaces.includes(own))
          yield {
            object: titleOf(binding),
            detail: `It binds ${guest.namespace}/${guest.name}.`,
            fix: ["bind accounts of the namespace itself only"],
          };
      }
    },
  },
  {
    id: "FH609",
    name: "host-of-two-namespaces",
    severity: "error",
    means: "Two namespaces take the same host and path: one tenant's visitors reach the other.",
    find: claimedTwice,
  },
  {
    id: "FH610",
    name: "network-policy-any-namespace",
    severity: "error",
    means: "A network policy lets pods of any namespace in or out.",
    *find(subject) {
      for (const policy of subject.of("NetworkPolicy")) {
        if (subject.namespaces.includes(namespaceOf(policy)) && isOpenPolicy(toFields(policy["spec"])))
          yield { object: titleOf(policy), detail: "A rule has no peer, or any namespace as one.", fix: ["name the namespaces by label"] };
      }
    },
  },
  {
    id: "FH611",
    name: "service-on-node-port",
    severity: "warning",
    means: "A tenant's service is open on every node of the cluster, past gateway and network policies of other namespaces.",
    *find(subject) {
      for (const service of subject.of("Service")) {
        const { type } = toFields(service["spec"]);
        if (type === "NodePort" && subject.namespaces.includes(namespaceOf(service)))
          yield { object: titleOf(service), detail: "Its type is NodePort.", fix: ["use ClusterIP behind the gateway"] };
      }
    },
  },
  {
    id: "FH612",
    name: "role-of-everything",
    severity: "error",
    means: "A role in a tenant's namespace may do everything, roles and secrets included.",
    *find(subject) {
      for (const role of subject.of("Role")) {
        const isWide = toList(toFields(role)["rules"]).some((rule) =>
          ["verbs", "resources"].every((key) => toList(toFields(rule)[key]).includes("*")),
        );
        if (isWide && subject.namespaces.includes(namespaceOf(role)))
          yield { object: titleOf(role), detail: "A rule has * for verbs and resources.", fix: ["name what is needed"] };
      }
    },
  },
  {
    id: "FH613",
    name: "dedicated-without-taint",
    severity: "warning",
    means: "A tenant's pod asks for nodes of its own but tolerates no taint: nothing keeps other tenants' pods off those nodes.",
    *find(subject) {
      for (const { object, spec } of subject.pods()) {
        const isPlaced = Object.keys(toFields(spec["nodeSelector"])).length > 0 || "nodeAffinity" in toFields(spec["affinity"]);
        if (isPlaced && toList(spec["tolerations"]).length === 0)
          yield { object, detail: "It has a node selector and no toleration.", fix: ["taint the nodes and tolerate the taint"] };
      }
    },
  },
];

function hostParts(spec: Fields): readonly string[] {
  const containers = ["initContainers", "containers", "ephemeralContainers"].flatMap((key) => toList(spec[key]).map(toFields));
  const contexts = [spec, ...containers].map((each) => toFields(each["securityContext"]));
  const found = ["hostNetwork", "hostPID", "hostIPC"].filter((key) => spec[key] === true);
  if (toList(spec["volumes"]).some((volume) => "hostPath" in toFields(volume))) found.push("hostPath");
  if (containers.some((each) => toList(each["ports"]).some((port) => "hostPort" in toFields(port)))) found.push("hostPort");
  for (const key of ["privileged", "allowPrivilegeEscalation"]) if (contexts.some((context) => context[key] === true)) found.push(key);
  if (contexts.some((context) => context["runAsUser"] === 0)) found.push("runAsUser: 0");
  if (contexts.some((context) => toList(toFields(context["capabilities"])["add"]).length > 0)) found.push("capabilities");
  return found;
}

function isOpenPolicy(spec: Fields): boolean {
  return [
    ["ingress", "from"],
    ["egress", "to"],
  ].some(([rules = "", peers = ""]) =>
    toList(spec[rules]).some((rule) => {
      const listed = toList(toFields(rule)[peers]).map(toFields);
      const isAny = (peer: Fields): boolean =>
        "namespaceSelector" in peer && Object.keys(toFields(peer["namespaceSelector"])).length === 0 && !("podSelector" in peer);
      return listed.length === 0 || listed.some(isAny);
    }),
  );
}

function* claimedTwice(subject: KubernetesSubject): Iterable<Found> {
  const seen = new Map<string, string>();
  for (const ingress of subject.of("Ingress", "HTTPRoute")) {
    const namespace = namespaceOf(ingress);
    for (const place of placesOf(toFields(ingress["spec"]))) {
      const first = seen.get(place) ?? namespace;
      if (first !== namespace)
        yield { object: titleOf(ingress), detail: `${place} is taken by ${first}.`, fix: ["give each tenant a host of its own"] };
      else seen.set(place, namespace);
    }
  }
}

function placesOf(spec: Fields): readonly string[] {
  const rules = toList(spec["rules"]).map(toFields);
  const hosts = toList(spec["hostnames"]).map(String);
  if (hosts.length > 0) {
    const paths = rules.flatMap((rule) => toList(rule["matches"]).map((match) => textOr(toFields(toFields(match)["path"])["value"], "/")));
    return hosts.flatMap((host) => (paths.length > 0 ? paths : ["/"]).map((path) => host + path));
  }
  return rules.flatMap((rule) =>
    toList(toFields(rule["http"])["paths"]).map((path) => `${textOr(rule["host"], "*")}${textOr(toFields(path)["path"], "/")}`),
  );
}

function accountsOf(binding: Fields): readonly { readonly namespace: string; readonly name: string }[] {
  const own = namespaceOf(binding);
  return toList(binding["subjects"])
    .map(toFields)
    .filter(({ kind }) => kind === "ServiceAccount")
    .map(({ namespace, name }) => ({ namespace: textOr(namespace, own), name: String(name) }));
}

function titleOf(each: Fields): string {
  const namespace = namespaceOf(each);
  return `${String(each["kind"])} ${namespace === "" ? "" : `${namespace}/`}${nameOf(each)}`;
}

function nameOf(each: Fields): string {
  return textOr(toFields(each["metadata"])["name"], "(no name)");
}

function namespaceOf(each: Fields): string {
  return textOr(toFields(each["metadata"])["namespace"], "");
}
