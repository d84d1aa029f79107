import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import type { Random } from "../../kernel/index.ts";

const ITERATIONS = 4096;

/** What PostgreSQL stores for a SCRAM-SHA-256 password (RFC 5803), so that the password itself is never in a statement or a server log. */
export function scramVerifier(password: string, random: Random): string {
  const salt = random.bytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  const storedKey = createHash("sha256").update(clientKey).digest("base64");
  const serverKey = createHmac("sha256", salted).update("Server Key").digest("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
