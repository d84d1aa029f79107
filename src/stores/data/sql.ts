import { createHash } from "node:crypto";
import { BoundedMap, Fault } from "../../kernel/index.ts";

/** One parameterised statement. It can only be made by the `sql` tag, so that text and values never mix. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Name under which each connection keeps it prepared: the digest of its text. */
  readonly name: string;
}

interface Compiled {
  readonly text: string;
  readonly name: string;
}

const compiledOf = new WeakMap<TemplateStringsArray, Compiled>();

/**
 * A statement whose every `${value}` is sent as a parameter, never as text.
 * Only one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or WITH is taken; anything else throws when it is first used.
 */
export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Statement {
  let compiled = compiledOf.get(strings);
  if (!compiled) {
    compiled = compile(strings.reduce((text, part, index) => `${text}$${index}${part}`));
    compiledOf.set(strings, compiled);
  }
  return { text: compiled.text, name: compiled.name, values };
}

const TEXTS_KEPT_MAX = 5_000;
const compiledTexts = new BoundedMap<string, Compiled>(TEXTS_KEPT_MAX);

/** A statement that a query builder has made: its text with $1, $2, … and the values apart. Held to the same statements as `sql`. */
export function builtStatement(text: string, values: readonly unknown[]): Statement {
  let compiled = compiledTexts.get(text);
  if (!compiled) {
    compiled = compile(text);
    compiledTexts.set(text, compiled);
  }
  return { ...compiled, values };
}

function compile(text: string): Compiled {
  // a NUL ends the text in the protocol; what follows would be read as another part of the message
  if (text.includes("\0")) throw new Fault("forbidden", "a statement holds a NUL");
  assertDataStatement(text);
  return { text, name: `s${createHash("sha256").update(text).digest("base64url").slice(0, 22)}` };
}

/**
 * Spaces, line comments and opening parentheses as the engine's scanner knows them, then a whole word. To the scanner a carriage return
 * ends a line comment too: `--\r set … --\n select` is a SET. Block comments nest and are not taken.
 */
const FIRST_WORD = /^(?:[ \t\n\r\f(]|--[^\n\r]*(?:[\n\r]|$))*([a-z]+)(?![\w$\u0080-\uffff])/i;

const DATA_STATEMENTS: ReadonlySet<string> = new Set(["select", "insert", "update", "delete", "merge", "values", "with"]);

/**
 * Throws `forbidden` unless the text begins with a word that can only begin a data statement.
 * Statements such as SET, RESET, COMMIT, DO, COPY or LISTEN act on the session instead of on rows: they could leave the tenant.
 * The engine takes one statement per message, so the first word decides.
 */
function assertDataStatement(text: string): void {
  const word = FIRST_WORD.exec(text)?.[1]?.toLowerCase();
  if (word === undefined || !DATA_STATEMENTS.has(word)) {
    throw new Fault("forbidden", `statement begins with ${word ?? "no word"}`, {
      public: { detail: "Only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH can be sent through a tenant's data handle." },
    });
  }
}
