import { parseTenantId, type TenantId } from "../kernel/index.ts";
import { callApi } from "../wire/index.ts";
import type { App } from "./app.ts";

/** What a demo tenant begins with. */
interface DemoTenant {
  readonly id: TenantId;
  readonly name: string;
  readonly plan: string;
  readonly documents: readonly { readonly id: string; readonly title: string; readonly text: string }[];
}

/** A demo tenant and how to call it. */
export interface DemoCredential {
  readonly id: TenantId;
  /** A bearer token of the platform's own issuer, an admin of the tenant for 24 hours. */
  readonly token: string;
  /** An API key, when the tenant was made just now: it is shown this once. */
  readonly apiKey: string | undefined;
}

const DAY_MS = 86_400_000;

/** Makes the demo tenants that are missing, through the same calls that anybody would make, and gives a credential for each. */
export async function ensureDemo(app: App, platformToken: string, say: (text: string) => void): Promise<readonly DemoCredential[]> {
  const credentials: DemoCredential[] = [];
  for (const tenant of demoTenants()) {
    const token = app.services.identity.tokens.issue({ sub: "admin", tenantId: tenant.id, roles: ["admin"], lifetimeMs: DAY_MS });
    const known = await app.services.registry.find(tenant.id);
    const apiKey = known ? undefined : await makeTenant(app, platformToken, token, tenant, say);
    credentials.push({ id: tenant.id, token, apiKey });
  }
  return credentials;
}

async function makeTenant(
  app: App,
  platformToken: string,
  token: string,
  tenant: DemoTenant,
  say: (text: string) => void,
): Promise<string> {
  say(`Making the demo tenant ${tenant.id} …`);
  const { id, name, plan } = tenant;
  const post = async (path: string, body: Record<string, string | string[]>, as = token): Promise<Record<string, unknown>> => {
    const answer = await callApi({ url: app.url + path, method: "POST", token: as, body });
    if (answer.status >= 400) throw new Error(`${path} answered ${JSON.stringify(answer.body)}`);
    return { ...(answer.body as object) }; // every call here answers with an object
  };
  await post("/admin/v1/tenants", { id, name, plan }, platformToken);
  for (const [user, role] of [
    ["admin", "admin"],
    ["user-1", "member"],
    ["user-2", "member"],
  ] as const) {
    await post("/users/create", { id: user, name: `${name} ${user}`, email: `${user}@${id}.example`, roles: [role] });
  }
  for (const document of tenant.documents) await post("/documents", document);
  const { key } = await post(`/admin/v1/tenants/${id}/keys`, { name: "demo" }, platformToken);
  return String(key);
}

/** Two tenants whose documents have the same ids and say different things. */
function demoTenants(): readonly DemoTenant[] {
  return [
    {
      id: demoId("acme"),
      name: "Acme",
      plan: "professional",
      documents: [
        {
          id: "refunds",
          title: "Refund policy",
          text: "Acme refunds every order within 30 days of delivery. The money is back on the card five working days after the parcel arrives at our warehouse. Opened software is exchanged, not refunded.",
        },
        {
          id: "support",
          title: "Support hours",
          text: "Acme support answers on weekdays from 8:00 to 18:00. Customers with the premium contract also reach us at night and on Sundays.",
        },
        {
          id: "shipping",
          title: "Shipping",
          text: "Acme ships from its own warehouse on the day of the order when it comes in before noon. Parcels under two kilograms travel free of charge.",
        },
      ],
    },
    {
      id: demoId("globex"),
      name: "Globex",
      plan: "starter",
      documents: [
        {
          id: "refunds",
          title: "Refund policy",
          text: "Globex refunds unused credits at the end of each quarter. Consulting days that were booked and not cancelled a week ahead are charged in full.",
        },
        {
          id: "support",
          title: "Support hours",
          text: "Globex runs its support desk around the clock from three sites. A first answer comes within one hour.",
        },
        {
          id: "security",
          title: "Security contact",
          text: "Report a weakness in a Globex product through the security page. We confirm within a day and publish a fix within ninety days.",
        },
      ],
    },
  ];
}

function demoId(text: string): TenantId {
  const id = parseTenantId(text);
  if (id === undefined) throw new RangeError(`${text} is not a tenant id`);
  return id;
}
