import { readFileSync } from "node:fs";

const FOLDER = new URL("../vectors/", import.meta.url);

/** One group of the Wycheproof files for JSON Web Signatures and Keys. */
export interface JwsGroup {
  readonly comment: string;
  readonly private: Record<string, unknown>;
  readonly public?: Record<string, unknown>;
  readonly tests: readonly {
    readonly tcId: number;
    readonly comment: string;
    readonly jws: string;
    readonly result: "valid" | "invalid";
  }[];
}

export function readGroups(name: "json_web_signature_test" | "json_web_key_test"): readonly JwsGroup[] {
  // the shape is fixed by the file, whose counts the tests assert
  return (JSON.parse(readText(`wycheproof/${name}.json`)) as { testGroups: JwsGroup[] }).testGroups;
}

export function readText(name: string): string {
  return readFileSync(new URL(name, FOLDER), "utf8");
}
