// Tabs that share a connection, in one process: the leader, the channel, and who leads. browser.test.ts has real tabs.

import { describe, expect, inject, test } from "vitest";
import { canonical } from "../src/fold.js";
import { client, closeAfterTest, until } from "./client.js";
import { webLocks } from "./locks.js";
import { faultProxy } from "./proxy.js";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i} `).join("");

describe("tabs of one browser", () => {
  test("share one connection, and each reads exactly what follows its own cursor", async () => {
    const locks = webLocks();
    const tabs = [client({ locks }), client({ locks }), client({ locks })];
    await Promise.all(tabs.map((tab) => tab.ready()));
    expect(tabs.map((tab) => tab.status.transport).sort()).toEqual(["tab", "tab", "websocket"]);
    expect(new Set(tabs.map((tab) => tab.connection.welcome!.connection)).size).toBe(1);
    const id = (await tabs[0]!.create({ agent: "writer" })).id;
    const sessions = tabs.map((tab) => tab.session(id));
    const ends = [sessions[0]!.follow()];
    const run = await sessions[1]!.send("count 300");
    await until(() => sessions[0]!.view.items.length > 1);
    ends.push(sessions[1]!.follow()); // joins in the middle
    await until(() => sessions[1]!.status === "live");
    ends.push(sessions[2]!.follow());
    expect(await run.text()).toBe(numbers(300));
    const alone = await client().session(id).state();
    for (const session of sessions) {
      await until(() => session.cursor?.seq === sessions[0]!.cursor!.seq && session.status === "live");
      expect(canonical(session.view.export())).toBe(canonical(alone.export()));
    }
    for (const end of ends) end();
  });

  test("share the list of sessions, presence, and refusals", async () => {
    const locks = webLocks();
    const [first, second] = [client({ locks }), client({ locks })];
    const lists = [first.sessions(), second.sessions()];
    const ends = lists.map((list) => list.follow());
    const session = await second.create({ title: "shared" });
    for (const list of lists) await until(() => list.rows.some((row) => row.session === session.id));
    ends.push(session.follow(), first.session(session.id).follow());
    await until(() => session.here.length === 1 && first.session(session.id).here.length === 1); // one connection
    const refused = await second.session("no-such-session").state().catch((error) => error);
    expect(refused.code).toBe("session.not_found");
    for (const end of ends) end();
  });

  test("go on when the one that leads is closed", async () => {
    const locks = webLocks();
    const tabs = [client({ locks }), client({ locks }), client({ locks })];
    await Promise.all(tabs.map((tab) => tab.ready()));
    const leader = tabs.find((tab) => tab.status.transport === "websocket")!;
    const [left, other] = tabs.filter((tab) => tab !== leader);
    const id = (await left!.create({ agent: "writer" })).id;
    const session = left!.session(id);
    const end = session.follow();
    const run = await session.send("count 200");
    await until(() => session.view.items.length > 1);
    leader.close();
    expect(await run.text()).toBe(numbers(200));
    await until(() => session.status === "live");
    expect(session.recovery).toMatchObject({ gaps: 0, repeats: 0, snapshot: null });
    await until(() => [left, other].map((tab) => tab!.status.transport).sort().join() === "tab,websocket");
    end();
  });

  test("survive cuts of the shared connection, and what was being sent is sent once", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    const locks = webLocks();
    const tabs = [client({ locks, url: via.url }), client({ locks, url: via.url })];
    await Promise.all(tabs.map((tab) => tab.ready()));
    const follower = tabs.find((tab) => tab.status.transport === "tab")!;
    const session = await follower.create();
    const end = session.follow();
    for (let i = 0; i < 5; i++) {
      await until(() => session.status === "live");
      const sent = session.send(`said ${i}`, { silent: true });
      via.cut();
      await sent;
    }
    const texts = () => session.view.items.map((item) => ("text" in item ? item.text : ""));
    await until(() => texts().length >= 5);
    expect(texts()).toEqual([0, 1, 2, 3, 4].map((i) => `said ${i}`));
    end();
  });

  test("of different people do not share", async () => {
    const locks = webLocks();
    const [ann, ben] = [client({ locks }), client({ locks, token: inject("tokens").ben })];
    await Promise.all([ann.ready(), ben.ready()]);
    expect([ann.status.transport, ben.status.transport]).toEqual(["websocket", "websocket"]);
    expect([ann.principal, ben.principal]).toEqual(["user:ann", "user:ben"]);
  });

  test("may each have their own", async () => {
    const locks = webLocks();
    const tabs = [client({ locks, tabs: false }), client({ locks, tabs: false })];
    await Promise.all(tabs.map((tab) => tab.ready()));
    expect(tabs.map((tab) => tab.status.transport)).toEqual(["websocket", "websocket"]);
  });
});
