import { json, type Operation, publicOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";

/** `GET /.well-known/freehold/jwks.json`: the public keys of the platform's own tokens. */
export function keySet({ identity }: Services): Operation {
  return publicOperation({
    method: "GET",
    path: "/.well-known/freehold/jwks.json",
    summary: "Read the public keys with which the platform signs.",
    run: () => json(200, identity.tokens.jwks(), { "cache-control": "public, max-age=300" }),
  });
}
