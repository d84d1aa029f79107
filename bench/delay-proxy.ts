import { nextMessage, startProgram } from "./child.ts";

/** A server of this machine, seen over a network with a delay. */
export interface DelayProxy {
  /** The same URL at the proxy. */
  readonly url: string;
  /** How often callers began to speak after they had been answered: one round trip each. */
  turns(): Promise<number>;
}

/** A proxy, in a process of its own, that makes every round trip to the server of this URL longer by `roundTripMs`. */
export async function startDelayProxy(ends: AsyncDisposableStack, url: string, roundTripMs: number): Promise<DelayProxy> {
  const target = new URL(url);
  const child = startProgram(ends, "./delay-proxy-process.ts", [target.port, String(roundTripMs / 2)]);
  target.port = String(await nextMessage<number>(child));
  return {
    url: target.href,
    async turns() {
      const answer = nextMessage<number>(child);
      child.send("turns");
      return await answer;
    },
  };
}
