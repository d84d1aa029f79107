/** A part of a document. */
export type Fields = Readonly<Record<string, unknown>>;

/** What is looked at besides the database. */
export interface Documents {
  readonly manifest: Fields;
  readonly gateway: Fields;
  readonly kubernetes: readonly Fields[];
}

const stream = { subject: "tenant.{tenant}.orders", subscriptions: ["tenant.acme.>"], group: "orders-{tenant}" };
const collection = { collection: "documents", tenantField: "tenant_id", filter: "must", pointId: "tenant-and-id", index: "tenant" };
const cacheKey = { key: "{tenant}:user:{id}", checked: true };
const manifest: Fields = {
  events: [stream, { subject: "user.events", tenant: "sealed" }],
  vectors: [collection, { collection: "documents-{tenant}" }],
  cache: [cacheKey, { key: "{tenant}{id}", parts: "hashed", checked: true }],
};

const route = { id: "orders", uri: "/orders/*", plugins: { "tenant-resolver": {}, "tenant-context": { tenant_id: "acme" } } };
const consumer = { username: "acme_shop", plugins: { "key-auth": { key: "k-acme" }, "tenant-context": { tenant_id: "acme" } } };
const gateway: Fields = { routes: [route], consumers: [consumer] };
const routeWith = (plugins: Fields, more: Fields = {}): Partial<Documents> => ({
  gateway: { ...gateway, routes: [{ ...route, ...more, plugins: { ...route.plugins, ...plugins } }] },
});

const named = (kind: string, name: string, namespace: string | undefined, rest: Fields = {}): Fields => ({
  kind,
  metadata: { name, ...(namespace !== undefined && { namespace }) },
  ...rest,
});
const denyAll = { spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] } };
const pod = {
  containers: [{ name: "app", image: "app@sha256:0", securityContext: { allowPrivilegeEscalation: false } }],
  automountServiceAccountToken: false,
};
const namespaceOf = (name: string, level = "restricted"): Fields => ({
  kind: "Namespace",
  metadata: { name, labels: { "pod-security.kubernetes.io/enforce": level } },
});
const ingress = (namespace: string): Fields =>
  named("Ingress", "web", namespace, { spec: { rules: [{ host: "shop.example", http: { paths: [{ path: "/" }] } }] } });
const surroundings = (namespace: string): readonly Fields[] => [
  named("NetworkPolicy", "deny-all", namespace, denyAll),
  named("ResourceQuota", "quota", namespace),
  named("LimitRange", "limits", namespace),
];
const kubernetes: readonly Fields[] = [
  namespaceOf("acme"),
  ...surroundings("acme"),
  named("Deployment", "app", "acme", { spec: { template: { spec: pod } } }),
  named("NetworkPolicy", "from-gateway", "acme", {
    spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { name: "gateway" } } }] }] },
  }),
  named("RoleBinding", "own", "acme", { subjects: [{ kind: "ServiceAccount", name: "app" }] }),
  named("Role", "own", "acme", { rules: [{ verbs: ["get"], resources: ["configmaps"] }] }),
  ingress("acme"),
];
const without = (kind: string, name?: string): Partial<Documents> => ({
  kubernetes: kubernetes.filter((each) => each["kind"] !== kind || (name !== undefined && (each["metadata"] as Fields)["name"] !== name)),
});
const withMore = (...more: readonly Fields[]): Partial<Documents> => ({ kubernetes: [...kubernetes, ...more] });
const withPod = (change: Fields): Partial<Documents> => withMore(named("Pod", "other", "acme", { spec: { ...pod, ...change } }));
const manifestWith = (change: Fields): Partial<Documents> => ({ manifest: { ...manifest, ...change } });

/** Documents without a fault. */
export const SOUND: Documents = { manifest, gateway, kubernetes };

/** One change for each rule that plants its fault and no other. */
export const PLANTED: Readonly<Record<string, Partial<Documents>>> = {
  FH201: routeWith({ "tenant-resolver": { required: false } }),
  FH202: { gateway: { ...gateway, consumers: [{ username: "acme_shop", plugins: { "key-auth": { key: "k-acme" } } }] } },
  FH203: routeWith({ "proxy-cache": { cache_key: ["$uri"], consumer_isolation: false } }),
  FH204: routeWith({ "limit-count": { count: 10, time_window: 60, per_tenant: false } }),
  FH205: routeWith({ "proxy-rewrite": { headers: { set: { X_Tenant_ID: "acme" } } } }),
  FH206: routeWith({ "key-auth": { hide_credentials: false } }),
  FH207: routeWith({ "serverless-pre-function": { functions: ["return function() end"] } }),
  FH208: routeWith({ cors: { allow_origins: "**", allow_credential: true } }),
  FH209: {
    gateway: {
      ...gateway,
      consumers: [consumer, { username: "globex", plugins: { "key-auth": { key: "k-acme" }, "tenant-context": { tenant_id: "globex" } } }],
    },
  },
  FH210: {
    gateway: { ...gateway, routes: [route, { id: "again", uri: "/orders/*", plugins: { "tenant-context": { tenant_id: "globex" } } }] },
  },
  FH301: manifestWith({ events: [{ subject: "orders" }] }),
  FH302: manifestWith({ events: [{ subject: "orders", tenant: "field" }] }),
  FH303: manifestWith({ events: [{ subject: "{tenant}-{topic}" }] }),
  FH304: manifestWith({ events: [{ ...stream, subscriptions: ["tenant.*.orders"] }] }),
  FH305: manifestWith({ events: [{ ...stream, group: "orders" }] }),
  FH401: manifestWith({ vectors: [{ collection: "documents" }] }),
  FH402: manifestWith({ vectors: [{ ...collection, filter: "caller" }] }),
  FH403: manifestWith({ vectors: [{ ...collection, pointId: "caller" }] }),
  FH404: manifestWith({ vectors: [{ ...collection, index: "keyword" }] }),
  FH501: manifestWith({ cache: [{ key: "preferences:{user}" }] }),
  FH502: manifestWith({ cache: [{ ...cacheKey, key: "{user}:{tenant}" }] }),
  FH503: manifestWith({ cache: [{ ...cacheKey, checked: false }] }),
  FH601: without("NetworkPolicy", "deny-all"),
  FH602: without("ResourceQuota"),
  FH603: without("LimitRange"),
  FH604: { kubernetes: [namespaceOf("acme", "baseline"), ...kubernetes.slice(1)] },
  FH605: withPod({ hostNetwork: true }),
  FH606: withPod({ automountServiceAccountToken: true }),
  FH607: withMore(
    named("ClusterRoleBinding", "wide", undefined, { subjects: [{ kind: "ServiceAccount", name: "app", namespace: "acme" }] }),
  ),
  FH608: withMore(named("RoleBinding", "guest", "acme", { subjects: [{ kind: "ServiceAccount", name: "app", namespace: "globex" }] })),
  FH609: withMore(ingress("globex")),
  FH610: withMore(
    named("NetworkPolicy", "open", "acme", { spec: { podSelector: { app: "x" }, ingress: [{ from: [{ namespaceSelector: {} }] }] } }),
  ),
  FH611: withMore(named("Service", "open", "acme", { spec: { type: "NodePort" } })),
  FH612: withMore(named("Role", "all", "acme", { rules: [{ verbs: ["*"], resources: ["*"] }] })),
  FH613: withPod({ nodeSelector: { pool: "acme" } }),
};
