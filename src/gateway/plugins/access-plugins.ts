import type { Plugin } from "../proxy/plugin.ts";
import { basicAuth } from "./basic-auth/index.ts";
import { jwtAuth } from "./jwt-auth/index.ts";
import { keyAuth } from "./key-auth/index.ts";
import { limitConn } from "./limit-conn/index.ts";
import { limitCount } from "./limit-count/index.ts";
import { limitReq } from "./limit-req/index.ts";

/** Who may, and how much: proof, restriction, limits, breaking, splitting. */
export const ACCESS_PLUGINS: readonly Plugin[] = [keyAuth, basicAuth, jwtAuth, limitCount, limitReq, limitConn];
