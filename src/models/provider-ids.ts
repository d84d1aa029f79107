import { createHmac, timingSafeEqual } from "node:crypto";
import { Fault, type Keyring, partsToBytes, type Tenant } from "../kernel/index.ts";
import { type TextPlace, TextRewriter } from "./meter/text-rewriter.ts";
import { isEverybodys, mayNameKept } from "./protocols/kept-ids.ts";
import { type ModelRequest, readRequest } from "./request.ts";

/** Ids of what a provider keeps for its account: answers, their items, containers, files. */
export interface ProviderIds {
  /** The request with the provider's own ids. Throws `not_found` for an id that this tenant was not given here. */
  request(tenant: Tenant, request: ModelRequest): ModelRequest;
  /** Gives the tenant its ids in the answer to this request that goes by; undefined where there are none. */
  answer(tenant: Tenant, request: Pick<ModelRequest, "protocol" | "members" | "body">, isStream: boolean): TextRewriter | undefined;
}

const MARK = ".";
const MAC_BYTES = 16;

/**
 * In an account of the platform's the ids of all tenants lead to something. So a tenant is given each with a MAC over the tenant and the id behind it, and an
 * id without the right one is taken from nobody: knowing another tenant's id opens nothing.
 */
export function createProviderIds(keyring: Keyring): ProviderIds {
  const key = keyring.key("provider-ids");
  const mac = ({ uuid }: Tenant, id: string): string =>
    createHmac("sha256", key)
      .update(partsToBytes([uuid, id]))
      .digest()
      .subarray(0, MAC_BYTES)
      .toString("base64url");
  const opened = (tenant: Tenant, given: string): string | undefined => {
    const at = given.lastIndexOf(MARK);
    const id = given.slice(0, Math.max(0, at));
    const [said, right] = [Buffer.from(given.slice(at + 1)), Buffer.from(mac(tenant, id))];
    return at > 0 && said.length === right.length && timingSafeEqual(said, right) ? id : undefined;
  };
  return {
    request(tenant, request) {
      const { keptIds } = request.protocol;
      if (!mayNameKept(request.body)) return request;
      let isChanged = false;
      const rewriter = new TextRewriter({
        takes: (place) => keptIds.inRequest(place),
        change(text, place) {
          if (isEverybodys(text, place)) return text;
          const id = opened(tenant, text);
          if (id === undefined) throw unknown(place);
          isChanged = true;
          return id;
        },
      });
      const body = Buffer.concat([rewriter.push(request.body), rewriter.push(undefined)]);
      return isChanged ? readRequest(request.protocol, body, request.model) : request;
    },
    answer(tenant, request, isStream) {
      const { keptIds } = request.protocol;
      const { inAnswer } = keptIds;
      if (!inAnswer || !keptIds.expects(request)) return undefined;
      return new TextRewriter({
        takes: (place) => inAnswer(place, isStream),
        change: (id) => `${id}${MARK}${mac(tenant, id)}`,
      });
    },
  };
}

function unknown({ top, name }: TextPlace): Fault {
  const where = name === top ? top : `${top} (${name})`;
  const detail = `${where}: there is nothing of this id that was given to you here. Use ids as this gateway has answered you with them, and addresses that everybody reaches, or leave them out.`;
  return new Fault("not_found", "an id that the tenant was not given", { public: { detail, field: top } });
}
