import type { Plugin } from "../proxy/plugin.ts";
import { apiBreaker } from "./api-breaker/index.ts";
import { basicAuth } from "./basic-auth/index.ts";
import { clientControl } from "./client-control/index.ts";
import { consumerRestriction } from "./consumer-restriction/index.ts";
import { hmacAuth } from "./hmac-auth/index.ts";
import { ipRestriction } from "./ip-restriction/index.ts";
import { jwtAuth } from "./jwt-auth/index.ts";
import { keyAuth } from "./key-auth/index.ts";
import { limitConn } from "./limit-conn/index.ts";
import { limitCount } from "./limit-count/index.ts";
import { limitReq } from "./limit-req/index.ts";
import { multiAuth } from "./multi-auth/index.ts";
import { refererRestriction } from "./referer-restriction/index.ts";
import { tenantContext } from "./tenant-context/index.ts";
import { tenantResolver } from "./tenant-resolver/index.ts";
import { trafficSplit } from "./traffic-split/index.ts";
import { uaRestriction } from "./ua-restriction/index.ts";
import { uriBlocker } from "./uri-blocker/index.ts";
import { workflow } from "./workflow/index.ts";

const WAYS_OF_AUTHENTICATION: readonly Plugin[] = [keyAuth, jwtAuth, basicAuth, hmacAuth];
const ACTIONS: readonly Plugin[] = [limitCount, limitConn];

/** Who may, and how much: proof, restriction, limits, breaking, splitting. */
export const ACCESS_PLUGINS: readonly Plugin[] = [
  clientControl,
  ipRestriction,
  uaRestriction,
  refererRestriction,
  uriBlocker,
  multiAuth(WAYS_OF_AUTHENTICATION),
  ...WAYS_OF_AUTHENTICATION,
  tenantResolver,
  tenantContext,
  consumerRestriction,
  workflow(ACTIONS),
  apiBreaker,
  limitConn,
  limitCount,
  limitReq,
  trafficSplit,
];
