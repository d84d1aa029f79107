import { z } from "zod";
import { slackRequest } from "../../../agents/index.ts";
import { Fault } from "../../../kernel/index.ts";
import { json, type Operation, publicOperation, tenantOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";

/** Slack's answer, whatever else it puts in. */
const callbackQuery = z.object({ state: z.string().max(200), code: z.string().max(512).optional(), error: z.string().max(200).optional() });

/** The installation of a Slack app by OAuth 2: begun by an admin of the tenant, allowed in Slack, ended where Slack sends the browser. */
export function slackInstallation(services: Services): readonly Operation[] {
  const { channels } = services;
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "POST",
        path: "/tenant/v1/channels/slack/install",
        summary: "Begin to install a Slack app of the tenant: open the answer's url, and allow it in Slack within ten minutes.",
        body: slackRequest,
        async run(call) {
          const begun = await channels.slackInstalls.begin(call.scope, call.body, call.context.principal.id);
          recordChange(services, call, "channel_install_begun", call.context.tenant.id, { platform: "slack" });
          return json(201, begun);
        },
      },
    ),
    publicOperation({
      method: "GET",
      path: "/channels/slack/oauth",
      summary: "Where Slack sends the browser once an app was allowed.",
      query: callbackQuery,
      async run({ query, head, requestId }) {
        if (query.code === undefined)
          throw new Fault("forbidden", `Slack says ${query.error ?? "nothing"}`, { public: { detail: "The app was not allowed." } });
        const { made, context } = await channels.slackInstalls.finish({ state: query.state, code: query.code }, requestId);
        recordChange(services, { head, requestId, context }, "channel_added", made.tenantId, {
          channel: made.id,
          platform: "slack",
          app: made.app,
        });
        const text = `The app is installed. Set its request URL to /channels/slack/${made.id} at this host.\n`;
        return { status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body: text };
      },
    }),
  ];
}
