// The AI SDK's `useChat` over the server, as docs/howto/ai-sdk.md has it:
// `ai-sdk.html?way=…&server=…&token=…&agent=…&thread=…`; the way is `v6`, `v7`, `v7-ws` or `holdfast`, our own transport.

import * as react7 from "@ai-sdk/react";
import * as ai7 from "ai";
import * as react6 from "ai-sdk-react-6";
import * as ai6 from "ai6";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { HoldfastChatTransport } from "../../../web/packages/client/dist/ai-sdk/index.js";
import { connect } from "../../../web/packages/client/dist/index.js";

const { way, server, token, agent, thread: id } = Object.fromEntries(new URLSearchParams(location.search));
const version = way === "v6" ? "v6" : "v7";
const [sdk, { Chat, useChat }] = (way === "v6" ? [ai6, react6] : [ai7, react7]) as unknown as [typeof ai7, typeof react7];
const { DefaultChatTransport, WebSocketChatTransport, isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } = sdk;
const api = `${server}/v1/ai-sdk/${version}/${agent}`;
const headers = { authorization: `Bearer ${token}` };
const transport =
  way === "v7-ws" ? new WebSocketChatTransport({ url: api.replace("http", "ws"), headers: () => headers })
  : way === "holdfast" ? new HoldfastChatTransport({ client: connect(server, { token }), agent })
  : new DefaultChatTransport({ api, headers });
const known = await fetch(`${api}/${id}`, { headers });
const messages: ai7.UIMessage[] = known.ok ? await known.json() : [];
const chat = new Chat({
  id, messages, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
});

function Part({ part }: { part: ai7.UIMessage["parts"][number] }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (!isToolUIPart(part)) return null;
  const answer = (approved: boolean) => chat.addToolApprovalResponse({ id: part.approval!.id, approved, reason: "no" });
  return (
    <div className="call" data-state={part.state}>
      <code>{JSON.stringify(part.input)}</code>
      {part.state === "approval-requested" && (
        <span className="approval">
          <button className="approve" onClick={() => void answer(true)}>Approve</button>
          <button className="deny" onClick={() => void answer(false)}>Deny</button>
        </span>
      )}
    </div>
  );
}

function Page() {
  const { messages, status, error } = useChat({ chat, resume: true });
  const [words, write] = useState("");
  const send = () => { void chat.sendMessage({ text: words }); write(""); };
  return (
    <main>
      {messages.map(({ id, role, parts }) => (
        <section key={id} className={role}>{parts.map((part, number) => <Part key={number} part={part} />)}</section>
      ))}
      <textarea value={words} onChange={(event) => write(event.target.value)} onKeyDown={({ key }) => key === "Enter" && send()} />
      <output id="outcome" data-running={status === "submitted" || status === "streaming"}>{String(error ?? "")}</output>
    </main>
  );
}

createRoot(document.getElementById("root")!).render(<Page />);
