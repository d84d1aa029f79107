import type { Socket } from "node:net";
import { toFault } from "../../kernel/index.ts";
import { toBytes, toFields } from "../answer.ts";
import type { WireExchange } from "../exchange.ts";
import type { Answer, HttpHandler, UpgradeExchange } from "../http.ts";
import { answerHead } from "./answer-head.ts";

/** Lets the handler have a request to change the protocol. `detach` is called when it takes the socket for itself. */
export function offerUpgrade(handler: HttpHandler, exchange: WireExchange, early: Buffer, socket: Socket, detach: () => void): void {
  const failed = (error: unknown): void => exchange.refuse(toFault(error));
  try {
    Promise.resolve(handler.upgrade(createUpgrade(exchange, early, socket, detach))).catch(failed);
  } catch (error) {
    failed(error);
  }
}

function createUpgrade(exchange: WireExchange, early: Buffer, socket: Socket, detach: () => void): UpgradeExchange {
  exchange.early = early;
  let taken = false;
  return {
    head: exchange.head,
    early,
    get socket() {
      taken = true;
      exchange.status = 101;
      detach();
      return socket;
    },
    get signal() {
      return exchange.signal;
    },
    refuse: (answer) => (taken ? endWith(socket, answer) : exchange.answer(answer)),
    forward: (forward) => exchange.forward(forward),
    stop: (answer) => exchange.stop(answer),
    onEnd: (listener) => exchange.onEnd(listener),
  };
}

/** An ordinary answer on a socket that was given away already; nothing when it was used up meanwhile. */
function endWith(socket: Socket, answer: Answer): void {
  if (!socket.writable) return void socket.destroy();
  const body = typeof answer.body === "string" || answer.body instanceof Uint8Array ? toBytes(answer.body) : Buffer.alloc(0);
  socket.write(answerHead(answer.status, toFields(answer), body.length, false, true), "latin1");
  socket.end(body);
}
