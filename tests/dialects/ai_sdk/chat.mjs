// The unmodified `AbstractChat` of one version of `ai`, driven over lines of JSON: a command in, an answer out.
import readline from "node:readline";
import WebSocket from "ws";

const [version, wire, api, token, id, has] = process.argv.slice(2);
const ai = await import({ v5: "ai5", v6: "ai6", v7: "ai" }[version]);
const headers = () => ({ authorization: `Bearer ${token}`, ...(has !== undefined && { "holdfast-tools": has }) });
let tools = {}; // by name: what the page's tool comes to

/** What `@ai-sdk/react` keeps in React, kept in plain fields. */
class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => void (this.messages = [...this.messages, message]);
  popMessage = () => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) =>
    void (this.messages = [...this.messages.slice(0, index), this.snapshot(message), ...this.messages.slice(index + 1)]);
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends ai.AbstractChat {
  constructor(init, state) {
    super({ ...init, state });
  }
}

const notes = { data: [], finished: [], calls: [], errors: [] };

function fresh(messages = []) {
  const state = new State();
  state.messages = messages;
  const transport =
    wire === "ws"
      ? new ai.WebSocketChatTransport({ url: api, headers, webSocket: WebSocket })
      : new ai.DefaultChatTransport({ api, headers });
  return new Chat(
    {
      id,
      transport,
      onData: (part) => notes.data.push(part),
      onToolCall: ({ toolCall: { toolName, toolCallId } }) => {
        notes.calls.push(toolName);
        if (toolName in tools) output(toolName, toolCallId, tools[toolName]);
      },
      onError: (error) => notes.errors.push(error.message),
      onFinish: ({ isAbort, isDisconnect, isError }) => notes.finished.push({ isAbort, isDisconnect, isError }),
      sendAutomaticallyWhen: (about) =>
        ai.lastAssistantMessageIsCompleteWithToolCalls(about) ||
        (ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(about) ?? false),
    },
    state,
  );
}

let chat = fresh();

/** What a page does when its tool is through; version 5 knew it by another name first. */
function output(tool, toolCallId, { output, error }) {
  if (error !== undefined) return chat.addToolOutput({ tool, toolCallId, state: "output-error", errorText: error });
  return (version === "v5" ? chat.addToolResult : chat.addToolOutput)({ tool, toolCallId, output });
}

const texts = () => chat.messages.flatMap((m) => m.parts.filter((p) => p.type === "text").map((p) => p.text)).join("");

const commands = {
  send: ({ text, files, messageId }) => chat.sendMessage({ text, ...(files && { files }), ...(messageId && { messageId }) }),
  say: ({ message }) => chat.sendMessage(message),
  resume: () => chat.resumeStream(),
  regenerate: ({ messageId }) => chat.regenerate(messageId ? { messageId } : {}),
  stop: () => chat.stop(),
  approve: ({ approval, approved, reason }) => chat.addToolApprovalResponse({ id: approval, approved, reason }),
  tools: (given) => void (tools = given.tools),
  output: ({ tool, call, ...what }) => output(tool, call, what),
  fresh: ({ messages }) => void (chat = fresh(messages)),
  look: () => {},
  until: async ({ chars, status, part, said }) => {
    for (;;) {
      if (said !== undefined && chat.status === "ready" && texts().includes(said)) return;
      if (part && chat.messages.flatMap((m) => m.parts).some((p) => p.type === part)) return;
      if (chars !== undefined && texts().length >= chars) return;
      if (chat.status === status) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command.do](command))
    .then(
      () => undefined,
      (error) => String(error),
    )
    .then((thrown) => {
      const { status, messages, error } = chat;
      console.log(JSON.stringify({ number: command.number, thrown, status, messages, error: error?.message, notes }));
    });
}
process.exit(0);
