import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault } from "../../src/kernel/index.ts";
import { checkFileName, foldFileName } from "../../src/stores/files/file-name.ts";

const REFUSED = [
  "",
  "/",
  "/a",
  "a/",
  "a//b",
  ".",
  "..",
  "../a",
  "a/../b",
  "a/./b",
  "a/..",
  "..\\a",
  "a\\b",
  "C:\\x",
  "a:b",
  "a\0b",
  "a\nb",
  "a\u0085b",
  "a|b",
  "a*b",
  "a?b",
  'a"b',
  "a<b",
  "a>b",
  "`id`",
  " a",
  "a ",
  "a.",
  "a/b./c",
  "a /b",
  "con",
  "CON.txt",
  "a/NUL",
  "com1.log",
  "lpt¹",
  "COM²",
  "aux",
  "%00\0",
  "a\u202eb",
  "a\u200bb",
  "a\ufeffb",
  "\ufeffa",
  "a\u00adb",
  "a\u034fb",
  "\u0301a",
  "a/\u0301b",
  "\u3164",
  "a\u115fb",
  "a\ud800",
  "\udc00a",
  "e\u0301",
  "a\u2028b",
  "a\ue000b",
  "a\ufe0fb",
  "．．/a",
  "．",
  "a／b",
  "a∕b",
  "․․/x",
  "a\u{e0041}b",
  "x".repeat(256),
  `${"x".repeat(200)}/`.repeat(6) + "x",
  "a\u0000.txt",
  "ｃｏｎ",
  "a；b\u2215c",
] as const;

const TAKEN = [
  "a",
  "A",
  "report.pdf",
  "2026/11/28/photo 1.jpg",
  ".hidden",
  "a..b",
  "a,b;c",
  "50% of it",
  "résumé.pdf",
  "日本語.txt",
  "Ж/й",
  "a-b_c(d)[e]{f}+g=h@i!j&k'l#m~n^o$p",
  "console.txt",
  "nullable",
  "x".repeat(255),
  "हिन्दी.txt",
  "%2e%2e",
] as const;

describe("a file name", () => {
  test("that a system could take for another place is refused", () => {
    for (const name of REFUSED) {
      assert.throws(
        () => checkFileName(name),
        (error) => error instanceof Fault && error.code === "malformed_request" && error.public.field === "name",
        JSON.stringify(name),
      );
    }
  });

  test("that is plain is taken as it is, in any script", () => {
    for (const name of TAKEN) assert.equal(checkFileName(name), name);
  });

  test("that is taken names a place below its folder for every way of joining paths", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("..", ".", "/", "\\", "a", "：", "．．", "%2e", "\0", "CON", "ß", "ı"),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const name = parts.join("/");
        try {
          checkFileName(name);
        } catch (error) {
          assert.ok(error instanceof Fault);
          return;
        }
        for (const each of [name, foldFileName(name), name.normalize("NFD"), name.normalize("NFKC")]) {
          assert.equal(path.posix.join("/root", each), `/root/${each}`);
          assert.ok(path.win32.resolve("C:\\root", each).startsWith("C:\\root\\"));
          assert.ok(new URL(encodeURI(each).replaceAll("#", "%23"), "http://host/root/").pathname.startsWith("/root/"));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("folds to the same as one that a system could take for it", () => {
    for (const [one, other] of [
      ["Readme", "README"],
      ["straße", "STRASSE"],
      ["ﬁle", "file"],
      ["K", "\u212a"],
      ["ſ", "s"],
      ["Ａ", "a"],
    ] as const) {
      assert.equal(foldFileName(one), foldFileName(other), `${one} and ${other}`);
    }
    assert.notEqual(foldFileName("a"), foldFileName("b"));
  });

  test("of the list of hostile paths is refused, where it is one", () => {
    const file = path.join(import.meta.dirname, "../vectors/path-vectors.json");
    const text = readFileSync(file, "utf8");
    const raw = [...text.matchAll(/"(\/[^"\\]*)"/g)].map(([, each = ""]) => each.slice(1));
    assert.ok(raw.length > 20);
    for (const name of raw) {
      try {
        assert.equal(path.posix.join("/root", checkFileName(name)), `/root/${name}`);
      } catch (error) {
        assert.ok(error instanceof Fault, name);
      }
    }
  });
});
