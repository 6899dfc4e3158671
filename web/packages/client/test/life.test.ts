// What a long life brings: a server that restarts, tokens that end, another person, a reader that is slow.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { describe, expect, inject, test, vi } from "vitest";
import { apply, canonical } from "../src/fold.js";
import { View, type SessionEvent } from "../src/index.js";
import { refreshInMs } from "../src/token.js";
import { client, closeAfterTest, until } from "./client.js";
import { HOLDFAST, start } from "./python.js";

describe("a client", () => {
  test("goes on where it was when the server comes back", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-life-"));
    const db = join(folder, "life.db");
    const serve = (port: string) => start(HOLDFAST, ["serve", "--port", port, "--db", db, "--quiet"], /ready on (\S+)/);
    let server = await serve("0");
    const token = execFileSync(HOLDFAST, ["token", "user:ann", "--db", db], { encoding: "utf8" }).trim();
    const hf = client({ url: server.found, token });
    const session = await hf.create();
    const end = session.follow();
    await session.send("before", { silent: true });
    await until(() => session.status === "live");
    await server.stop();
    await until(() => session.status === "offline" && hf.status.state === "offline");
    const sent = session.send("while it is away", { silent: true });
    server = await serve(new URL(server.found).port);
    await sent;
    await until(() => session.status === "live" && session.view.items.length === 2);
    expect(session.recovery).toMatchObject({ gaps: 0, repeats: 0, snapshot: null });
    end();
    hf.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("replaces its token on the open connection before it ends", async () => {
    const short = execFileSync(HOLDFAST, ["token", "user:ann", "--ttl", "13", "--db", inject("db")], { encoding: "utf8" }).trim();
    const tokens = [short, inject("tokens").ann];
    const hf = client({ getToken: () => tokens.shift()! });
    await hf.ready();
    const { connection, expires_ms } = hf.connection.welcome!;
    await until(() => tokens.length === 0);
    await until(() => Date.now() > Number(expires_ms) + 500); // the first token has ended
    expect(hf.status.state).toBe("live");
    expect(hf.connection.welcome!.connection).toBe(connection);
    await hf.create();
  });

  test("does not ask for tokens in a storm, whatever its clock says", () => {
    expect(refreshInMs(Date.now() + 3_600_000)).toBe(3_540_000);
    expect(refreshInMs(Date.now() - 1_000)).toBe(10_000);
    expect(refreshInMs(Date.now() + 1e12)).toBe(2 ** 31 - 1);
  });

  test("does not wait for its timer when the network is back", async () => {
    const page = new EventTarget(); // what a browser tells its pages
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.spyOn(Math, "random").mockReturnValue(1);
    const hf = client({ url: "http://127.0.0.1:9", fallback: false });
    await until(() => hf.status.attempts === 5 && hf.status.retryAt);
    const planned = hf.status.retryAt!;
    page.dispatchEvent(new Event("online"));
    await until(() => hf.status.attempts === 6);
    expect(hf.status.retryAt).toBeGreaterThan(planned);
    expect(Date.now()).toBeLessThan(planned);
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  test("reads anew when another person signs in", async () => {
    const { ann, ben } = inject("tokens");
    let token = ann;
    const hf = client({ getToken: () => token });
    const session = await hf.create({ title: "x" });
    const end = session.follow();
    await until(() => session.status === "live");
    token = ben;
    hf.cut();
    const words = session.send("ann's words", { silent: true }).catch((error) => error);
    await until(() => hf.principal === "user:ben" && session.status === "live");
    expect(session.recovery).toMatchObject({ from: null });
    expect((await words).code).toBe("connection.lost");
    expect((await session.state()).items).toEqual([]);
    end();
  });

  test("that reads slowly is not buffered, and misses nothing", async () => {
    const session = await client().create();
    await session.state();
    const events = closeAfterTest(session.events({ incarnation: session.cursor!.incarnation, seq: 0 }));
    const text = "x".repeat(100_000);
    for (let i = 0; i < 30; i++) await session.append([{ type: "CUSTOM", data: { name: "n", value: `${i}${text}` } }]);
    await until(() => events.lagging); // 3 MB are there, a third of them was taken
    let next = 1;
    for await (const event of events) {
      expect((event as SessionEvent).seq).toBe(next++);
      if (next === 32) break;
    }
  });

  test("folds for itself what a snapshot and events give", async () => {
    const session = await client().create({ agent: "writer" });
    await (await session.send("count 40")).finished();
    const events = closeAfterTest(session.events());
    const run = await session.send("count 40");
    let view = new View();
    for await (const item of events) {
      if ("view" in item) view = View.load(item.view);
      else apply(view, item);
      if (!("view" in item) && item.type === "run.ended" && item.run === run.id) break;
    }
    const now = await session.state();
    expect(canonical(view.export())).toBe(canonical(now.export()));
  });
});
