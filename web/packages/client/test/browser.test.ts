// Real tabs of a real browser: one connection for all of them, a leader that closes or freezes, a page that reloads.

import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { chromium, CHROMIUM, type Browser, type Tab } from "./chromium.js";
import { client, closeAfterTest, until } from "./client.js";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i} `).join("");

describe.skipIf(!CHROMIUM)("in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium();
  });
  afterAll(() => browser?.close());

  /** A tab with a client, `hf`, that follows a session, `session`. */
  async function tab(session: string, options = "{}"): Promise<Tab> {
    const page = closeAfterTest(await browser.open(inject("pages")));
    await begin(page, session, options);
    return page;
  }

  const begin = (page: Tab, session: string, options = "{}") =>
    page.run(`(async () => {
      window.hf = client.connect(${JSON.stringify(inject("url"))}, { token: ${JSON.stringify(inject("tokens").ann)}, ...${options} });
      window.session = hf.session(${JSON.stringify(session)});
      window.atOnce = session.view.items.length;
      session.follow();
      await session.state();
    })()`);
  const transport = (page: Tab) => page.run<string>("hf.status.transport");
  const last = (page: Tab) => page.run<string>("session.view.items.at(-1)?.text");

  test("tabs share a connection, and go on when the one that leads is closed", async () => {
    const session = await client().create({ agent: "writer" });
    const tabs = [await tab(session.id), await tab(session.id), await tab(session.id)];
    expect(await Promise.all(tabs.map(transport))).toEqual(["websocket", "tab", "tab"]);
    await session.send("count 300");
    await until(async () => (await last(tabs[1]!)) !== undefined);
    await tabs[0]!.close();
    for (const page of tabs.slice(1)) await until(async () => (await last(page)) === numbers(300));
    expect((await Promise.all(tabs.slice(1).map(transport))).sort()).toEqual(["tab", "websocket"]);
    const recovery = await tabs[1]!.run<object>("session.recovery");
    expect(recovery).toMatchObject({ gaps: 0, repeats: 0, snapshot: null });
  });

  test("a tab that leads and freezes is followed by another, and follows it when it wakes", async () => {
    const session = await client().create({ agent: "writer" });
    const leader = await tab(session.id);
    const other = await tab(session.id);
    expect(await transport(other)).toBe("tab");
    void leader.run("{ for (const end = Date.now() + 9_000; Date.now() < end;); }").catch(() => {}); // its scripts stand still
    await session.send("said while frozen", { silent: true });
    await until(async () => (await last(other)) === "said while frozen");
    await until(async () => (await transport(other)) === "websocket");
    await until(async () => (await last(leader)) === "said while frozen");
    await until(async () => (await transport(leader)) === "tab");
  });

  test("a page of another origin does without WebSockets", async () => {
    const session = await client().create({ agent: "writer" });
    const page = closeAfterTest(await browser.open(inject("pages")));
    await page.run("void (delete window.WebSocket)");
    await begin(page, session.id, "{ tabs: false }");
    expect(await transport(page)).toBe("sse");
    expect(await page.run("session.send('count 50').then((run) => run.text())")).toBe(numbers(50));
    await page.run("session.rename('Renamed')");
    await page.run("session.read()");
    await until(async () => (await page.run("session.view.title")) === "Renamed");
    expect(await page.run("session.delete().then(() => 'deleted')")).toBe("deleted");
  });

  test("a page that reloads shows what it had at once, and goes on from there", async () => {
    const session = await client().create({ agent: "writer" });
    await (await session.send("count 20")).finished();
    const page = await tab(session.id, "{ tabs: false }");
    await page.reload();
    await session.send("while away", { silent: true });
    await begin(page, session.id, "{ tabs: false }");
    expect(await page.run("atOnce")).toBe(2);
    expect(await last(page)).toBe("while away");
    expect(await page.run("session.recovery")).toMatchObject({ missed: 1, received: 1, gaps: 0, repeats: 0, snapshot: null });
  });
});
