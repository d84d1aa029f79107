import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Row, rounded } from "./bench.ts";
import { CORES, nextMessage, residentMiB, startProgram } from "./child.ts";
import { startFreehold } from "./freehold-process.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const KIB = 1024;
/** Streams opened before the memory is taken the first time: buffers and code that all share are there then. */
export const FIRST_STREAMS = 200;

/** What the program of the streams reports. */
interface StreamsOpen {
  readonly open: number;
}

/** Files of a process besides those of the streams. */
const OTHER_FILES = 500;

/** How many streams a process may have here after the first: each takes a connection on both sides. Linux only. */
export function streamsMax(): number {
  const files = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Math.floor((Number(files ?? 0) - OTHER_FILES) / 2) - FIRST_STREAMS;
}

/** Memory of Freehold per event stream that is open through it, idle between two events. As many as asked for, if the machine lets it. */
export async function measureOpenStreams(ends: AsyncDisposableStack, wanted: number): Promise<Row> {
  const streams = Math.min(wanted, streamsMax());
  const folder = temporaryFolder(ends);
  const upstream = startProgram(ends, "./gateway-streams-process.ts", ["upstream"]);
  const port = await nextMessage<number>(upstream);
  const file = path.join(folder, "gateway.yaml");
  writeFileSync(
    file,
    JSON.stringify({
      routes: [
        {
          id: "events",
          uri: "/events",
          plugins: { "tenant-resolver": { required: false } },
          upstream: { type: "roundrobin", nodes: { [`127.0.0.1:${port}`]: 1 }, timeout: { connect: 10, send: 600, read: 600 } },
        },
      ],
    }),
  );
  const config = path.join(folder, "freehold.yaml");
  writeFileSync(config, JSON.stringify({ gateway: { file, connectionsMax: 2 * streams } }));
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: false, config });
  const callers = startProgram(ends, "./gateway-streams-process.ts", ["callers"]);
  const open = async (count: number): Promise<number> => {
    callers.send({ url: freehold.url, count });
    return (await nextMessage<StreamsOpen>(callers)).open;
  };
  await open(FIRST_STREAMS);
  const before = residentMiB(freehold.pid);
  const opened = await open(streams);
  const after = residentMiB(freehold.pid);
  return {
    name: `freehold-${opened + FIRST_STREAMS}-open-streams`,
    rssMiB: after,
    kibPerStream: rounded(((after - before) * KIB) / opened),
  };
}
