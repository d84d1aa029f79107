import type { FaultCode } from "../kernel/index.ts";
import type { ForwardFailure } from "./http.ts";

/** What each way of failing before an answer is in the error table. */
export const FAILURE_CODES: Readonly<Record<ForwardFailure["kind"], FaultCode>> = {
  connect: "upstream_unreachable",
  connect_timeout: "upstream_timeout",
  send_timeout: "upstream_timeout",
  read_timeout: "upstream_timeout",
  closed: "upstream_unreachable",
  invalid: "upstream_invalid",
};
