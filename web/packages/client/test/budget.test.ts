// A budget brakes an answer: what a client of ours sees of it, from the first question to the end.

import { expect, inject, test } from "vitest";
import type { ActivityItem, View } from "../src/index.js";
import { client, until } from "./client.js";

const MONEY = { budget: "support-month", payer: "Customer care", decider: "user:bea", spent_usd: "25.00", cap_usd: "25.00" };
const TEXT = "the budget 'support-month' is spent";
const news = (stage: string, policy: string) => ({ stage, policy, code: "budget.exceeded", text: TEXT, ...MONEY });
const told = (view: View) => view.items.filter((item): item is ActivityItem => item.kind === "activity").map(({ name, content }) => ({ name, content }));

test("an answer that a budget ended says whose it was, who can raise it, and ends as cancelled for that reason", async () => {
  const session = await client().create({ agent: "writer" });
  const end = session.follow();
  const run = await session.send(`budget ${JSON.stringify([news("ended", "error")])}`);
  await until(() => told(session.view).length);
  await client({ token: inject("tokens").budget }).session(session.id).cancel({ run: run.id, reason: TEXT });
  const over = await run.finished();
  expect(over).toMatchObject({ status: "cancelled", cancel: { by: "policy:budget", reason: TEXT } });
  expect(told(session.view)).toEqual([{ name: "budget", content: news("ended", "error") }]);
  expect(await run.text()).toBe("so far");
  end();
});

test("an answer that waits shows one activity, which says at last that it went on", async () => {
  const session = await client().create({ agent: "writer" });
  const end = session.follow();
  const run = await session.send(`budget ${JSON.stringify([news("asked", "ask"), news("resumed", "ask")])}`);
  await until(() => (told(session.view)[0]?.content as { stage?: string } | undefined)?.stage === "resumed");
  expect(told(session.view)).toHaveLength(1);
  await session.cancel({ run: run.id });
  end();
});
