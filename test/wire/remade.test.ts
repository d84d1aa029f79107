import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, Forward } from "../../src/wire/index.ts";
import { until } from "../support/until.ts";
import { bodyOf, exchangeRaw, get, listenTcp, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

type Remake = (body: AsyncIterable<Uint8Array>) => Answer | Promise<Answer>;

const remade = (answer: Remake): Pick<Forward, "onResponse"> => ({ onResponse: () => ({ kind: "remake", answer }) });
const LARGE = Array.from({ length: 400_000 }, (_, at) => `line ${at};`).join("");

async function* upper(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  for await (const piece of body) yield Buffer.from(piece).toString().toUpperCase();
}

describe("an answer that is remade while it comes", () => {
  test("is whole however slowly it is read, and so is the one behind it", async (t) => {
    const echo = await startEcho(t, () => `HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n${LARGE}`);
    const slowly: Remake = (body) => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for await (const piece of upper(body)) {
          yield piece;
          await new Promise((resolve) => void setImmediate(resolve));
        }
      })(),
    });
    const at = await startGateway(t, echo.port, { change: () => remade(slowly) });
    const received = await exchangeRaw(at.port, `GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n${get("/2")}`);
    assert.deepEqual(statuses(received), [200, 200]);
    assert.equal(received.split("LINE 399999;").length - 1, 2);
  });

  test("can be made of all of it, later", async (t) => {
    const echo = await startEcho(t, () => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    const all: Remake = async (body) => {
      let text = "";
      for await (const piece of upper(body)) text += piece;
      return { status: 201, headers: {}, body: text };
    };
    const at = await startGateway(t, echo.port, { change: () => remade(all) });
    const received = await exchangeRaw(at.port, get("/"));
    assert.deepEqual([statuses(received), bodyOf(received)], [[201], "HELLO"]);
  });

  test("never looks whole when the upstream breaks off, and is refused when nothing of it had gone out", async (t) => {
    const upstream = await listenTcp(t, (socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"));
    });
    const passing: Remake = (body) => ({ status: 200, headers: {}, body: upper(body) });
    const at = await startGateway(t, upstream, { change: () => remade(passing) });
    assert.ok(!(await exchangeRaw(at.port, get("/"))).endsWith("0\r\n\r\n"));
    const whole: Remake = async (body) => {
      for await (const piece of body) assert.ok(piece.length > 0);
      return { status: 200, headers: {}, body: "whole" };
    };
    const other = await startGateway(t, upstream, { change: () => remade(whole) });
    assert.deepEqual(statuses(await exchangeRaw(other.port, get("/"))), [502]);
  });

  test("ends the upstream's connection when the caller goes, or its maker wants no more", async (t) => {
    let [asked, closed] = [0, 0];
    const upstream = await listenTcp(t, (socket) => {
      socket.on("error", () => undefined);
      socket.on("close", () => closed++);
      socket.once("data", () => {
        asked++;
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello");
      });
    });
    const errors: unknown[] = [];
    const waiting: Remake = async (body) => {
      try {
        for await (const piece of body) assert.ok(piece.length > 0);
      } catch (error) {
        errors.push(error);
      }
      return { status: 200, headers: {}, body: "never" };
    };
    const at = await startGateway(t, upstream, { change: () => remade(waiting) });
    const client = new RawClient(at.port);
    client.send(get("/"));
    await until("the upstream to be asked", () => asked > 0);
    client.socket.destroy();
    await until("the upstream to be left", () => closed === 1 && errors.length === 1);
    const first: Remake = async (body) => {
      for await (const piece of body) return { status: 200, headers: {}, body: Buffer.from(piece) };
      return { status: 500, headers: {}, body: "nothing came" };
    };
    const other = await startGateway(t, upstream, { change: () => remade(first) });
    assert.equal(bodyOf(await exchangeRaw(other.port, get("/"))), "hello");
    await until("the upstream to be left", () => closed === 2);
  });
});
