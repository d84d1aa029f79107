import type { Json, Random } from "../../../kernel/index.ts";

/** The part of JSON Schema that values are made up from. */
export interface MockSchema {
  readonly type?: string;
  readonly example?: unknown;
  readonly properties?: Readonly<Record<string, MockSchema>>;
  readonly items?: MockSchema;
}

const DEPTH_MAX = 32;
const ITEMS_MAX = 3;
const LETTERS_MAX = 10;
const NUMBER_MAX = 10_000;

/** A value that fits the schema: its examples where it has some, else made up. Over 32 levels it is null. */
export function createMock(schema: MockSchema, random: Random, depth = 0): Json {
  if (depth > DEPTH_MAX) return null;
  switch (schema.type?.toLowerCase()) {
    case "object":
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, part]) => [name, createMock(part, random, depth + 1)]));
    case "array": {
      const { items } = schema;
      return items ? Array.from({ length: 1 + upTo(ITEMS_MAX, random) }, () => createMock(items, random, depth + 1)) : null;
    }
    case "string":
      return typeof schema.example === "string" ? schema.example : letters(random);
    case "number":
      return typeof schema.example === "number"
        ? schema.example
        : (upTo(NUMBER_MAX, random) * NUMBER_MAX + upTo(NUMBER_MAX, random)) / NUMBER_MAX;
    case "integer":
      return typeof schema.example === "number" ? Math.floor(schema.example) : 1 + upTo(NUMBER_MAX, random);
    case "boolean":
      return typeof schema.example === "boolean" ? schema.example : upTo(2, random) === 1;
    default:
      return null;
  }
}

/** 0 to below `bound`. */
function upTo(bound: number, random: Random): number {
  return random.bytes(4).readUInt32BE() % bound;
}

function letters(random: Random): string {
  return Array.from({ length: 1 + upTo(LETTERS_MAX, random) }, () => String.fromCharCode(97 + upTo(26, random))).join("");
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** The value as XML; every item of a list is an element of the list's name. */
export function toXml(value: Json, name: string): string {
  if (Array.isArray(value)) return value.map((item) => toXml(item, name)).join("");
  const inner =
    typeof value === "object" && value !== null
      ? Object.entries(value)
          .map(([key, part]) => toXml(part, key))
          .join("")
      : String(value ?? "").replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
  const element = name.replaceAll(/[^\w.-]/g, "_");
  return `<${element}>${inner}</${element}>`;
}
