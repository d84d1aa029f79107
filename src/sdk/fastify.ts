import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ProblemAnswer } from "../wire/index.ts";
import { requestIdOf } from "./authenticate.ts";
import type { Freehold, RequestTenant } from "./freehold.ts";
import { pairsOf } from "./node-fields.ts";
import { PRIVATE_FIELDS } from "./problems.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who the request is for. There where `tenantPlugin` is registered, and nowhere else. */
    tenant: RequestTenant;
  }
}

/** The settings of `tenantPlugin`. */
export interface TenantPluginOptions {
  readonly freehold: Freehold;
}

/**
 * Proves the tenant of every request to the routes of the instance that it is registered in, and puts it at `request.tenant`. What is not
 * proved is answered here: no handler runs. Routes for everybody belong into an instance of their own.
 */
export async function tenantPlugin(app: FastifyInstance, { freehold }: TenantPluginOptions): Promise<void> {
  app.decorateRequest("tenant");
  app.addHook("onRequest", (request, reply, done) => {
    const { method, originalUrl: target, raw, ip: remoteAddress } = request;
    freehold.authenticate({ method, target, fields: pairsOf(raw.rawHeaders), remoteAddress }).then(
      (tenant) => {
        request.tenant = tenant;
        reply.headers(PRIVATE_FIELDS);
        freehold.run(tenant.context, done);
      },
      (error: unknown) => void send(reply, freehold.problem(error, callOf(request))),
    );
  });
}

// without this an instance of its own would be made for the plugin, and the hook would guard nothing outside of it
Object.assign(tenantPlugin, { [Symbol.for("skip-override")]: true });

/** Answers what handlers throw with a problem document of the one error table: for `app.setErrorHandler`. */
export function problemHandler(freehold: Freehold): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => void send(reply, freehold.problem(error, callOf(request)));
}

/** `tenant` is missing where the plugin is not registered, whatever its type says. */
function callOf(request: FastifyRequest): Parameters<Freehold["problem"]>[1] {
  const { tenant } = request as { tenant?: RequestTenant };
  const requestId = tenant?.context.requestId ?? requestIdOf(pairsOf(request.raw.rawHeaders));
  return { requestId, tenant: tenant?.context.tenant, acceptLanguage: request.headers["accept-language"] };
}

function send(reply: FastifyReply, { status, headers, body }: ProblemAnswer): FastifyReply {
  return reply.code(status).headers(headers).send(Buffer.from(body)); // bytes, so that the content type stays as it is
}
