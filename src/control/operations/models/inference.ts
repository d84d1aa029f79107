import { json, type Operation, rawTenantOperation, tenantOperation } from "../../../gateway/index.ts";
import { type ModelProtocol, type OpenRoute, PROTOCOLS } from "../../../models/index.ts";
import { Fault } from "../../../kernel/index.ts";
import type { Services } from "../../services.ts";

/** Bodies carry images. */
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const ACCESS = { role: "member", scope: "models" } as const;

const PATHS: Readonly<Record<ModelProtocol, { readonly path: string; readonly summary: string }>> = {
  "chat-completions": { path: "/v1/chat/completions", summary: "OpenAI's Chat Completions, sent on to a model that the tenant may use." },
  responses: { path: "/v1/responses", summary: "OpenAI's Responses, sent on to a model that the tenant may use." },
  embeddings: { path: "/v1/embeddings", summary: "OpenAI's Embeddings, sent on to a model that the tenant may use." },
  messages: { path: "/v1/messages", summary: "Anthropic's Messages, sent on to a model that the tenant may use." },
};

/** The paths that existing clients of models know. */
export function inference({ modelGateway }: Services): readonly Operation[] {
  const refusal = (fault: Fault, requestId: string) => PROTOCOLS["chat-completions"].refusal(fault, requestId);
  return [
    ...Object.values(PROTOCOLS).map((protocol) =>
      rawTenantOperation(ACCESS, {
        method: "POST",
        ...PATHS[protocol.name],
        bytesMax: BODY_BYTES_MAX,
        refusal: (fault, requestId) => protocol.refusal(fault, requestId),
        run: (call) => modelGateway.begin(protocol.name, { ...call, cache: call.scope.cache }),
      }),
    ),
    rawTenantOperation(ACCESS, {
      method: "POST",
      path: `${PATHS.messages.path}/count_tokens`,
      summary: "Count the tokens of a request of Anthropic's Messages before it is sent.",
      bytesMax: BODY_BYTES_MAX,
      refusal: (fault, requestId) => PROTOCOLS.messages.refusal(fault, requestId),
      run: (call) => modelGateway.count({ ...call, cache: call.scope.cache }),
    }),
    tenantOperation(ACCESS, {
      method: "GET",
      path: "/v1/models",
      summary: "List the models that the tenant may use, in the shapes of OpenAI and Anthropic at once.",
      refusal,
      async run({ context }) {
        const data = (await modelGateway.models(context.tenant)).map(toView).toSorted((one, other) => (one.id < other.id ? -1 : 1));
        return json(200, { object: "list", data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
      },
    }),
    tenantOperation(ACCESS, {
      method: "GET",
      path: "/v1/models/{model}",
      summary: "Show one of the models that the tenant may use.",
      refusal,
      async run({ context, params }) {
        const route = (await modelGateway.models(context.tenant)).find(({ name }) => name === params["model"]);
        if (!route)
          throw new Fault("not_found", "no such model", { public: { detail: "There is no model of this name, or you may not use it." } });
        return json(200, toView(route));
      },
    }),
  ];
}

/** Both clients read the members that they know. Nothing is said of providers. */
function toView({ name }: OpenRoute) {
  return {
    id: name,
    object: "model",
    created: 0,
    owned_by: "freehold",
    type: "model",
    display_name: name,
    created_at: "1970-01-01T00:00:00Z",
  };
}
