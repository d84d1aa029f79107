import type { Context, ErrorHandler, MiddlewareHandler } from "hono";
import type { ProblemAnswer } from "../wire/index.ts";
import { requestIdOf } from "./authenticate.ts";
import type { Freehold, RequestTenant } from "./freehold.ts";
import { PRIVATE_FIELDS } from "./problems.ts";

declare module "hono" {
  interface ContextVariableMap {
    /** Who the request is for. There behind `tenantMiddleware`, and nowhere else. */
    tenant: RequestTenant;
  }
}

/**
 * Proves the tenant of every request behind it and puts it at `c.var.tenant`. What is not proved is answered here: no handler behind it runs.
 */
export function tenantMiddleware(freehold: Freehold): MiddlewareHandler {
  return async (c, next) => {
    const { method, url } = c.req.raw;
    const { pathname, search } = new URL(url);
    const fields = [...c.req.raw.headers];
    let tenant: RequestTenant;
    try {
      tenant = await freehold.authenticate({ method, target: pathname + search, fields, remoteAddress: "" });
    } catch (error) {
      return toResponse(freehold.problem(error, callOf(c)));
    }
    c.set("tenant", tenant);
    for (const [name, value] of Object.entries(PRIVATE_FIELDS)) c.header(name, value);
    return await freehold.run(tenant.context, next);
  };
}

/** Answers what handlers throw with a problem document of the one error table: for `app.onError`. */
export function problemHandler(freehold: Freehold): ErrorHandler {
  return (error, c) => toResponse(freehold.problem(error, callOf(c)));
}

/** `tenant` is missing in front of the middleware, whatever its type says. */
function callOf(c: Context): Parameters<Freehold["problem"]>[1] {
  const tenant = c.get("tenant") as RequestTenant | undefined;
  const requestId = tenant?.context.requestId ?? requestIdOf([...c.req.raw.headers]);
  return { requestId, tenant: tenant?.context.tenant, acceptLanguage: c.req.header("accept-language") };
}

function toResponse({ status, headers, body }: ProblemAnswer): Response {
  return new Response(body, { status, headers });
}
