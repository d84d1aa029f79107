import { Fault } from "../kernel/index.ts";
import { readVariable } from "./settings.ts";

/** The secret in this environment variable. Throws `invalid_settings` with its name where it is not set. */
export function secretOf(name: string): string {
  const value = readVariable(name);
  if (value) return value;
  throw new Fault("invalid_settings", `${name} is not set`, {
    public: { detail: `Put the secret into the environment variable ${name}.` },
  });
}
