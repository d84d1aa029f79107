/** Opens the embedded folder of its first argument in a process of its own, says so, and holds it until it is killed or told to end. */
import { createDataStore } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("which folder?");
const store = await createDataStore({ kind: "embedded", folder }, testPorts());
process.stdout.write("open\n");
process.stdin.once("data", () => {
  void store.close().then(() => process.stdin.destroy());
});
