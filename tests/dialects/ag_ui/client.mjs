// An unmodified AG-UI client, told over stdin (one JSON object a line) what to do; it says on stdout what it sees.
import { createInterface } from "node:readline";

const [version, base, thread, token] = process.argv.slice(2);
const { HttpAgent } = await import(version === "1.0" ? "@ag-ui/client" : "ag-ui-client-0059");
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
console.warn = (...words) => tell({ warn: words.map(String).join(" ") });
console.error = (...words) => tell({ failed: words.map(String).join(" ") });

process.on("unhandledRejection", () => {}); // a line that breaks is told to the run and, once more, to nobody

const fresh = () =>
  new HttpAgent({ url: `${base}/run`, threadId: thread, headers: { authorization: `Bearer ${token}` } });
let agent = fresh();

const subscriber = {
  onEvent: ({ event }) => tell({ event }),
  onRunErrorEvent: ({ event }) => tell({ runError: event }),
};

async function run(path, parameters) {
  agent.url = `${agent.base ?? base}/${path}`;
  let error = null;
  try {
    await agent.runAgent(parameters, subscriber);
  } catch (thrown) {
    error = String(thrown?.message ?? thrown);
  }
  tell({ done: path, error, messages: agent.messages, state: agent.state, interrupts: agent.pendingInterrupts });
}

const commands = {
  say: ({ id, text }) => agent.addMessage({ id, role: "user", content: text }),
  add: ({ message }) => agent.addMessage(message),
  run: ({ parameters }) => void run("run", parameters),
  connect: ({ parameters }) => void run("connect", parameters),
  through: ({ base: other }) => void (agent.base = other),
  abort: () => agent.abortRun(),
  reload: () => void (agent = fresh()),
  keep: ({ count }) => agent.setMessages(agent.messages.slice(0, count)),
  state: ({ state }) => agent.setState(state),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command);
}
process.exit(0);
