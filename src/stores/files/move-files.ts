import {
  type Clock,
  Fault,
  type Random,
  STORE_PLACES,
  type StoreMove,
  type StoreMoveOptions,
  type StorePlace,
  type StorePlaces,
  type StoreTenant,
} from "../../kernel/index.ts";
import type { SystemData } from "../data/index.ts";
import { copyObject } from "./copy-object.ts";
import type { FileEngines } from "./file-engines.ts";
import { type CopyNotes, type HeldPlaces, MoveTable } from "./move-table.ts";

/** What a move of files works with. */
export interface FilePlacesParts {
  readonly system: SystemData;
  readonly engines: FileEngines;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a move has done so far. From `switched` on the new place is the tenant's; the two after it belong to `confirm`. */
export const FILE_MOVE_STEPS = ["begun", "built", "copied-one", "copied", "fenced", "switched", "brought-after", "removed"] as const;
export type FileMoveStep = (typeof FILE_MOVE_STEPS)[number];

/** Objects copied at the same time. */
const COPIES = 8;
/** So many files are left to the fence, and so many bytes. */
const TAIL_FILES_MAX = 16;
const TAIL_BYTES_MAX = 4 * 1024 * 1024;
const ROUNDS_MAX = 1_000;
const PAGE = 100;
const RENEW_MS = 5_000;

/** The two places of files, and moving a tenant from one to the other. */
export function createFilePlaces(parts: FilePlacesParts): StorePlaces {
  return new FilePlaces(parts);
}

class FilePlaces implements StorePlaces {
  readonly store = "files";
  readonly places = STORE_PLACES;
  readonly #parts: FilePlacesParts;

  constructor(parts: FilePlacesParts) {
    this.#parts = parts;
  }

  async placeOf({ uuid }: StoreTenant): Promise<StorePlace> {
    return await this.#tableOf(uuid).place();
  }

  async move({ uuid }: StoreTenant, place: string, { onStep }: StoreMoveOptions = {}): Promise<StoreMove> {
    const target = placeNamed(place);
    this.#parts.engines.at(target); // before anything is noted
    const startedMs = performance.now();
    const table = this.#tableOf(uuid);
    return await this.#holding(table, async (held) => {
      if (held.kept !== null) throw conflict("The place that the tenant's files have left is still kept: confirm that move first.");
      if (held.place === target) {
        await this.#takeBack(table, held);
        throw conflict(`The tenant's files are in the ${target} place already.`);
      }
      try {
        await table.aim(held, target);
        await onStep?.("begun");
        await this.#parts.engines.at(target).provision(uuid);
        await onStep?.("built");
        const move = { table, held, target, ...(onStep && { onStep }) };
        await this.#copyAll(move);
        await onStep?.("copied");
        const switched = await this.#switch(move);
        await onStep?.("switched");
        return { source: held.place, target, ...switched, elapsedMs: performance.now() - startedMs };
      } catch (error) {
        await this.#takeBack(table, await table.look(held));
        throw error;
      }
    });
  }

  async confirm({ uuid }: StoreTenant, { onStep }: StoreMoveOptions = {}): Promise<void> {
    const table = this.#tableOf(uuid);
    await this.#holding(table, async (held) => {
      await this.#takeBack(table, held);
      const { place, kept } = held;
      if (kept === null) return;
      // uploads that had begun before the switch went to the place that is left
      for (const file of await table.filesIn(kept)) await this.#bringAfter(table, held, { ...file, from: kept, to: place });
      await onStep?.("brought-after");
      if (!(await table.isLeft(held, kept))) {
        const detail = "An upload that began before the move is still under way in the old place. Confirm again when it is over.";
        throw new Fault("in_progress", detail, { public: { detail, retryAfterMs: 10_000 } });
      }
      await this.#parts.engines.at(kept).erase(uuid);
      await onStep?.("removed");
      await table.forgetKept(held, kept);
    });
  }

  #tableOf(tenant: string): MoveTable {
    return new MoveTable(this.#parts.system, tenant);
  }

  /** Runs `work` while no other process moves this tenant's files. */
  async #holding<T>(table: MoveTable, work: (held: HeldPlaces) => Promise<T>): Promise<T> {
    const held = await table.hold();
    const renewing = setInterval(() => void table.renew(held).catch(() => undefined), RENEW_MS); // whoever goes on looks whether it holds
    try {
      return await work(held);
    } finally {
      clearInterval(renewing);
      await table.release(held).catch(() => undefined); // it ends by itself
    }
  }

  async #copyAll(move: Move): Promise<void> {
    for (;;) {
      const files = await move.table.notes.uncopied(move.held.place, PAGE);
      if (files.length === 0) return;
      await this.#copySome(move, move.table.notes, files);
    }
  }

  /** Gives how many there were still. When one fails, the others are waited for: nothing is written after this has thrown. */
  async #copySome(move: Move, notes: CopyNotes, files: readonly MovedFile[]): Promise<number> {
    const waiting = files.values();
    let copied = 0;
    const work = async (): Promise<void> => {
      for (const file of waiting) {
        if (!(await this.#copy(move, notes, file))) continue;
        copied++;
        await move.onStep?.("copied-one");
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: COPIES }, work));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
    return copied;
  }

  /** Copies one object and compares what is in the new place. One whose file is gone meanwhile is passed over. */
  async #copy({ table, held, target }: Move, notes: CopyNotes, file: MovedFile): Promise<boolean> {
    const { engines } = this.#parts;
    held.assertHeld();
    await notes.beginCopy(file.object);
    try {
      const sum = await copyObject(engines.at(held.place), engines.at(target), { tenant: table.tenant, ...file });
      await notes.endCopy(file.object, sum);
      return true;
    } catch (error) {
      if (await notes.isFile(file.object)) throw error;
      return false;
    }
  }

  /**
   * Holds the tenant's uploads and deletions where they are written down, brings over what is left, and makes the new place the tenant's in one
   * commit. What is too much for that is brought over first, with the fence open.
   */
  async #switch(move: Move): Promise<Pick<StoreMove, "parts" | "changes" | "fenceMs">> {
    const { table, held, target } = move;
    let changes = 0;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const closedMs = performance.now();
      const parts = await table.fenced(async (fence) => {
        const tail = await fence.uncopied(held.place, TAIL_FILES_MAX + 1);
        if (tail.length > TAIL_FILES_MAX || tail.reduce((sum, { bytes }) => sum + bytes, 0) > TAIL_BYTES_MAX) return undefined;
        changes += await this.#copySome(move, fence, tail);
        await move.onStep?.("fenced");
        return await fence.switchTo(held, target);
      });
      if (parts) return { parts, changes, fenceMs: performance.now() - closedMs };
      await this.#copyAll(move);
    }
    const detail = "The tenant stores files faster than they are copied. Nothing has changed; try again.";
    throw new Fault("overloaded", detail, { public: { detail } });
  }

  async #bringAfter(table: MoveTable, held: HeldPlaces, file: MovedFile & { from: StorePlace; to: StorePlace }): Promise<void> {
    const { engines } = this.#parts;
    held.assertHeld();
    try {
      await copyObject(engines.at(file.from), engines.at(file.to), { tenant: table.tenant, ...file });
      if (await table.replace(file)) return;
    } catch (error) {
      if (await table.notes.isFile(file.object)) throw error;
    }
    await engines.at(file.to).remove(table.tenant, file.object); // its file was deleted meanwhile
  }

  /** Removes whatever a move has put in its target that did not switch. */
  async #takeBack(table: MoveTable, held: HeldPlaces | undefined): Promise<void> {
    if (!held || held.target === null) return;
    held.assertHeld();
    await this.#parts.engines.at(held.target).erase(table.tenant);
    await table.forgetTarget(held);
  }
}

/** A file whose object is copied. */
export interface MovedFile {
  readonly object: string;
  /** Of its content, unsealed. */
  readonly bytes: number;
}

interface Move {
  readonly table: MoveTable;
  readonly held: HeldPlaces;
  readonly target: StorePlace;
  readonly onStep?: NonNullable<StoreMoveOptions["onStep"]>;
}

function placeNamed(place: string): StorePlace {
  const found = STORE_PLACES.find((each) => each === place);
  if (found) return found;
  const detail = `Files are in a place that is ${STORE_PLACES.join(" or ")}.`;
  throw new Fault("invalid_settings", detail, { public: { detail, field: "files" } });
}

function conflict(detail: string): Fault {
  return new Fault("conflict", detail, { public: { detail } });
}
