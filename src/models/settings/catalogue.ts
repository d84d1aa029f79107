import type { Tenant } from "../../kernel/index.ts";
import type {
  BudgetSettings,
  ModelProtocol,
  ModelSettings,
  PlatformModels,
  RouteSettings,
  SpokenProtocol,
  TenantGrant,
  TenantModels,
} from "./schema.ts";
import type { Provider } from "./providers.ts";

/** Whose provider it is: its key, its connections and where it may lead depend on it. */
export type Owner = "platform" | "tenant";

/** A model that a tenant may use. */
export interface OpenModel {
  /** As callers name it. */
  readonly name: string;
  /** As the provider names it. */
  readonly upstreamName: string;
  readonly owner: Owner;
  readonly provider: Provider;
  readonly settings: ModelSettings;
}

/** One place that a request can go to. */
export interface Target {
  readonly model: OpenModel;
  readonly weight: number;
  readonly when: RouteSettings["targets"][number]["when"];
}

/** A name that callers may use, and where it leads. */
export interface OpenRoute {
  readonly name: string;
  readonly strategy: RouteSettings["strategy"];
  readonly targets: readonly Target[];
}

/** A budget, and who has set it. */
export interface OpenBudget extends BudgetSettings {
  /** Money of the platform's budgets is what its own providers cost; a tenant pays its providers itself. */
  readonly owner: Owner;
}

/** What one tenant may use at the moment. */
export interface Catalogue {
  /** By name. A tenant's own names come before the platform's. */
  readonly routes: ReadonlyMap<string, OpenRoute>;
  readonly budgets: readonly OpenBudget[];
  readonly cache: TenantModels["cache"];
  readonly guardrails: TenantModels["guardrails"];
  readonly currency: string;
}

/** What a catalogue is made of: checked documents and their providers. */
export interface CatalogueParts {
  readonly platform: { readonly document: PlatformModels; readonly providers: ReadonlyMap<string, Provider> };
  readonly given: TenantGrant | undefined;
  readonly own: { readonly document: TenantModels; readonly providers: ReadonlyMap<string, Provider> } | undefined;
}

/** A budget that every tenant has: its quota of calls a month. */
const QUOTA = "maxAIRequests";

/** What this tenant may use. What nobody opened to it is not in it. */
export function createCatalogue(tenant: Tenant, { platform, given, own }: CatalogueParts): Catalogue {
  const { document } = platform;
  const plans = ["*", tenant.plan].flatMap((plan) => (Object.hasOwn(document.plans, plan) ? [document.plans[plan]] : []));
  const features = tenant.features.flatMap((key) => (Object.hasOwn(document.features, key) ? [document.features[key]] : []));
  const patterns = [...plans, ...features, given].flatMap((each) => each?.models ?? []);
  const isOpen = (name: string): boolean => patterns.some((pattern) => matchesModel(pattern, name));

  const models = openModels("platform", document.models, platform.providers);
  const routes = new Map<string, OpenRoute>();
  const add = (name: string, { strategy, targets }: RouteSettings, known: ReadonlyMap<string, OpenModel>): void => {
    const open = targets.flatMap(({ model, weight, when }): Target[] => {
      const found = known.get(model);
      return found ? [{ model: found, weight, when }] : [];
    });
    if (open.length > 0) routes.set(name, { name, strategy, targets: open });
  };
  // whoever opens a route opens what it leads to
  for (const [name, route] of Object.entries(document.routes)) if (isOpen(name)) add(name, route, models);
  const reachable = new Map([...models].filter(([name]) => isOpen(name)));
  if (own) for (const [name, model] of openModels("tenant", own.document.models, own.providers)) reachable.set(name, model);
  for (const [name, model] of reachable) routes.set(name, alone(model));
  for (const [name, route] of Object.entries(own?.document.routes ?? {})) add(name, route, reachable);

  return {
    routes,
    budgets: budgetsOf(tenant, [plans.flatMap((plan) => plan?.budgets ?? []), given?.budgets ?? []], own?.document.budgets ?? []),
    cache: own?.document.cache,
    guardrails: own?.document.guardrails,
    currency: document.currency,
  };
}

/** Whether a pattern of model names takes this one. */
export function matchesModel(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

/** The targets that can serve this protocol, by it or by another that it is translated to. */
export function targetsFor(route: OpenRoute, protocol: ModelProtocol): readonly Target[] {
  return route.targets.filter(({ model }) => protocolAt(model.provider, protocol) !== undefined);
}

/** What a request of this protocol is sent to the provider as: as it is wherever that is spoken. */
export function protocolAt({ protocols }: Pick<Provider, "protocols">, protocol: ModelProtocol): SpokenProtocol | undefined {
  return [protocol, ...(TRANSLATED_TO[protocol] ?? [])].find((each) => protocols.includes(each));
}

const TRANSLATED_TO: Readonly<Partial<Record<ModelProtocol, readonly SpokenProtocol[]>>> = {
  messages: ["chat-completions", "converse"],
  "chat-completions": ["messages", "converse"],
  responses: ["chat-completions", "messages", "converse"],
};

function openModels(
  owner: Owner,
  settings: Readonly<Record<string, ModelSettings>>,
  providers: ReadonlyMap<string, Provider>,
): Map<string, OpenModel> {
  return new Map(
    Object.entries(settings).flatMap(([name, model]) => {
      const provider = providers.get(model.provider);
      return provider ? [[name, { name, upstreamName: model.model ?? name, owner, provider, settings: model }] as const] : [];
    }),
  );
}

function alone(model: OpenModel): OpenRoute {
  return { name: model.name, strategy: "fallback", targets: [{ model, weight: 1, when: undefined }] };
}

/** Of two budgets given under one name the later counts; what a tenant sets itself comes beside, whatever it is called. */
function budgetsOf(tenant: Tenant, given: readonly (readonly BudgetSettings[])[], own: readonly BudgetSettings[]): readonly OpenBudget[] {
  const quota: BudgetSettings = {
    name: QUOTA,
    unit: "requests",
    per: "month",
    limit: tenant.quotas.maxAIRequests,
    for: "tenant",
    strict: false,
  };
  const byName = new Map(given.flat().map((budget) => [budget.name, budget]));
  return [
    ...[quota, ...byName.values()].map((budget) => ({ ...budget, owner: "platform" as const })),
    ...own.map((budget) => ({ ...budget, name: `own:${budget.name}`, owner: "tenant" as const })),
  ];
}
