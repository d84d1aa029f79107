import { CHAT_PLATFORMS } from "../../../agents/index.ts";
import { json, type Operation, rawPublicOperation } from "../../../gateway/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Services } from "../../services.ts";

const BODY_BYTES_MAX = 512 * 1024;
const TAKEN: Answer = { status: 200, headers: {}, body: undefined };

/** `POST /channels/{platform}/{installation}`: what a chat platform delivers. Its signature proves whose it is. */
export function receiveDeliveries({ channels }: Pick<Services, "channels">): readonly Operation[] {
  return CHAT_PLATFORMS.map((platform) =>
    rawPublicOperation({
      method: "POST",
      path: `/channels/${platform}/{installation}`,
      summary: `Take what ${platform === "slack" ? "Slack" : "Discord"} delivers for one app, signed by it.`,
      bytesMax: BODY_BYTES_MAX,
      async run({ params, body, head, requestId }) {
        const delivery = { header: (name: string) => head.headers.all(name), body };
        const source = { requestId, remoteAddress: head.remoteAddress };
        const acknowledgement = await channels.receive(platform, params["installation"] ?? "", delivery, source);
        return acknowledgement === undefined ? TAKEN : json(200, acknowledgement);
      },
    }),
  );
}
