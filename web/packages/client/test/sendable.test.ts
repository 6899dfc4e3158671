// What a server could not read is refused here, with the codes of the server, and whatever the engine's stack would take.

import { describe, expect, test } from "vitest";
import { connect, HoldfastError } from "../src/index.js";

const nested = (wrap: (inner: unknown) => unknown, levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = wrap(value);
  return value;
};

/** A client whose server never answers: whatever is refused is refused here. */
async function refusal(meta: Record<string, unknown>, title = ""): Promise<HoldfastError> {
  const hf = connect("http://nowhere.invalid", { token: "t", storage: null, dial: () => ({ kind: "websocket", send: () => {}, close: () => {} }), tabs: false });
  try {
    return await hf.session("s1").create({ title, meta }).then(() => { throw new Error("was not refused"); }, (error) => error);
  } finally {
    hf.close();
  }
}

describe("what a server could not read", () => {
  const endless: Record<string, unknown> = {};
  endless["x"] = [endless];
  const objects = (inner: unknown) => ({ x: inner });
  const arrays = (inner: unknown) => [inner];

  test.each([
    ["objects, 70 deep", { x: nested(objects, 70) }, "input.too_deep"],
    ["objects, 5,000 deep", { x: nested(objects, 5_000) }, "input.too_deep"],
    ["arrays, 200,000 deep", { x: nested(arrays, 200_000) }, "input.too_deep"],
    ["a value that contains itself", endless, "input.too_deep"],
    ["two million characters", { x: "y".repeat(2_000_000) }, "input.too_large"],
    ["characters of three bytes each", { x: "東".repeat(400_000) }, "input.too_large"],
    ["half a surrogate pair", { x: "\ud83c" }, "input.malformed"],
  ])("%s", async (_, meta, code) => {
    const error = await refusal(meta);
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error.code).toBe(code);
    expect(error.fix).not.toBe("");
    expect(error.retry).toBe(false);
  });
});
