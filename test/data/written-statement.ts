import { sql, type Statement } from "../../src/stores/data/index.ts";

/** The statement an attacker writes: this text, with the values for $1, $2, …. It passes the same guard as every other. */
export function written(text: string, ...values: unknown[]): Statement {
  const parts = values.length === 0 ? [text] : text.split(/\$\d+/);
  return sql(Object.assign(parts, { raw: parts }), ...values);
}
