// A CopilotKit runtime as docs/howto/copilotkit.md has it: `node runtime.mjs SERVER TOKEN PORT CLIENT AGENT…`; prints its address.

import { createServer } from "node:http";
import { CopilotRuntime } from "@copilotkit/runtime/v2";
import { createCopilotNodeListener } from "@copilotkit/runtime/v2/node";
import { HoldfastRunner } from "../../../web/packages/client/dist/copilotkit/index.js";

const [server, token, port, version, ...names] = process.argv.slice(2);
const { HttpAgent } = await import(version);
const headers = { authorization: `Bearer ${token}` };
const agents = Object.fromEntries(
  names.map((name) => [name, new HttpAgent({ url: `${server}/v1/ag-ui/agent/${name}/run`, headers })]),
);
const runtime = new CopilotRuntime({ agents, runner: new HoldfastRunner({ agents }) });
const listener = createCopilotNodeListener({ runtime, basePath: "/api/copilotkit", cors: true });
const http = createServer(listener).listen(Number(port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${http.address().port}/api/copilotkit`);
});
