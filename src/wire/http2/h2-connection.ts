import type { Socket } from "node:net";
import type { House, HouseConnection } from "../house.ts";
import type { Ends } from "../http1/request-parser.ts";
export function createH2Connection(_house: House, socket: Socket, _ends: Ends): HouseConnection {
  socket.destroy();
  return { idle: true, served: true, leave: () => undefined, destroy: () => undefined };
}
