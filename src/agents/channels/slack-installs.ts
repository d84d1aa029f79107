import type { z } from "zod";
import { Fault, type Tenant, type TenantContext } from "../../kernel/index.ts";
import type { Stores, TenantScope } from "../../stores/index.ts";
import type { Installation } from "../../tenancy/registry/index.ts";
import { invalidChannel, type PlatformApi } from "./platform-api.ts";
import type { Receiver, ReceivingPorts } from "./receive.ts";
import type { SlackAddresses } from "./slack.ts";
import { type Allowed, type AllowRequest, beginSlackRequest, finishSlackRequest, type slackRequest, tenantOfState } from "./slack-oauth.ts";

/** Installations of Slack apps that somebody of the workspace allows by OAuth. */
export interface SlackInstalls {
  /** Throws `invalid_settings` where this gateway does not know its own address. */
  begin(scope: TenantScope, given: z.output<typeof slackRequest>, createdBy: string): Promise<AllowRequest>;
  /** Ends it with what Slack has sent the browser back with. Throws as {@link finishSlackRequest}, and as making an installation does. */
  finish(
    answer: { readonly state: string; readonly code: string },
    requestId: string,
  ): Promise<{ readonly made: Installation; readonly context: TenantContext }>;
}

/** What they need. */
interface SlackInstallPorts extends Pick<ReceivingPorts, "findTenant" | "random"> {
  readonly stores: Stores;
  readonly receiver: Receiver;
  readonly api: PlatformApi;
  readonly addresses: SlackAddresses;
  /** Where browsers reach this gateway; undefined where nobody has said. */
  readonly publicUrl: string | undefined;
  readonly add: (tenant: Tenant, allowed: Allowed) => Promise<Installation>;
}

/** Installations over these ports. */
export function createSlackInstalls({
  findTenant,
  random,
  stores,
  receiver,
  api,
  addresses,
  publicUrl,
  add,
}: SlackInstallPorts): SlackInstalls {
  const oauth = () => {
    if (publicUrl === undefined) throw invalidChannel("channels.publicUrl", "The operator has to set channels.publicUrl for this.");
    return { redirectUrl: `${publicUrl}/channels/slack/oauth`, addresses, api, random };
  };
  return {
    begin: (scope, given, createdBy) => beginSlackRequest(scope, oauth(), given, createdBy),
    async finish(answer, requestId) {
      const id = tenantOfState(answer.state);
      const found = id && (await findTenant(id));
      const tenant = found?.status === "active" ? found : undefined;
      if (!tenant) throw new Fault("not_found", "no such request", { public: { detail: "Begin the installation again." } });
      const scope = stores.scope(receiver.contextFor(tenant, { id: "slack" }, requestId));
      const made = await add(tenant, await finishSlackRequest(scope, oauth(), answer));
      return { made, context: receiver.contextFor(tenant, made, requestId) };
    },
  };
}
