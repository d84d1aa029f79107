import { Fault } from "../../kernel/index.ts";
import type { EventConsumer } from "../../stores/events/index.ts";
import type { Stores } from "../../stores/index.ts";
import { findUser, toSearchItem, type User } from "../operations/users/user.ts";

/**
 * Keeps the search points of users as their rows are: whatever the event says happened, the row of the moment is what is indexed, so
 * events that come twice or late do no harm.
 */
export function indexUsers(stores: Stores): EventConsumer {
  return {
    name: "index-users",
    topics: ["user.events"],
    async handle(event, context, signal) {
      const scope = stores.scope(context);
      const user = await findUser(scope.data, scope, event.key).catch(absent);
      if (!user) return async (tx) => await scope.search.remove(tx, "user", event.key);
      const item = await scope.search.prepare(toSearchItem(user), signal);
      return async (tx) => await scope.search.put(tx, item);
    },
  };
}

function absent(error: unknown): User | undefined {
  if (error instanceof Fault && error.code === "not_found") return undefined;
  throw error;
}
