declare module "pg/lib/utils.js" {
  /** The wire form of a parameter: text, bytes or null. */
  export function prepareValue(value: unknown): string | Buffer | null;
}
