import type { Plugin } from "../proxy/plugin.ts";
import { aiProxy, aiProxyMulti } from "./ai-proxy/index.ts";
import { aiRateLimiting } from "./ai-rate-limiting/index.ts";
import { cors } from "./cors/index.ts";
import { faultInjection } from "./fault-injection/index.ts";
import { forwardAuth } from "./forward-auth/index.ts";
import { httpLogger } from "./http-logger/index.ts";
import { opa } from "./opa/index.ts";
import { mocking } from "./mocking/index.ts";
import { prometheus } from "./prometheus/index.ts";
import { proxyCache } from "./proxy-cache/index.ts";
import { proxyRewrite } from "./proxy-rewrite/index.ts";
import { redirect } from "./redirect/index.ts";
import { requestId } from "./request-id/index.ts";
import { requestValidation } from "./request-validation/index.ts";
import { responseRewrite } from "./response-rewrite/index.ts";

/** What is sent and answered: rewriting, validation, caching, CORS, logging. The names in the order of their priorities. */
export const CONTENT_PLUGINS: readonly Plugin[] = [
  requestId,
  faultInjection,
  mocking,
  cors,
  requestValidation,
  forwardAuth,
  opa,
  proxyCache,
  aiProxyMulti,
  aiProxy,
  aiRateLimiting,
  proxyRewrite,
  redirect,
  responseRewrite,
  prometheus,
  httpLogger,
];
