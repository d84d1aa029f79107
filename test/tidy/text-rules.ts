import { type Finding, linesOf, type TextFile } from "./source.ts";

const CODE = /^(?:src|test|bench)\/.*\.ts$/;
// brackets keep the patterns of this file from finding themselves
const MARK = /\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b/;

/** Things that belong to the place where the text was written and mean nothing to who reads it. */
const ELSEWHERE: readonly RegExp[] = [/[/]work[/]/, /registry[.]npmjs/, /sub[-]?agent/i, /\bClau[d]e\b/, /\bGPT[-]/];

/** Nothing is left for later in a comment. */
export function checkMarks(files: readonly TextFile[]): Finding[] {
  const message = "leaves work in a comment: do it, or leave it out";
  return checkLines(
    files.filter((file) => CODE.test(file.path)),
    (line) => (MARK.test(line) ? message : undefined),
  );
}

/** The text speaks of the product, and of nothing of the place where it was written. */
export function checkSubject(files: readonly TextFile[]): Finding[] {
  return checkLines(files, (line) => {
    const found = ELSEWHERE.map((pattern) => pattern.exec(line)?.[0]).find((text) => text !== undefined);
    return found === undefined ? undefined : `says "${found}", which is not of the product: leave it out`;
  });
}

function checkLines(files: readonly TextFile[], problemOf: (line: string) => string | undefined): Finding[] {
  return files.flatMap(({ path, text }) =>
    linesOf(text).flatMap((line, at) => {
      const message = problemOf(line);
      return message === undefined ? [] : [{ path, line: at + 1, message }];
    }),
  );
}
