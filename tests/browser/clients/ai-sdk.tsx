// The AI SDK's `useChat` over the server, as docs/howto/ai-sdk.md has it: `ai-sdk.html?server=…&token=…&agent=…&thread=…`.

import { Chat, useChat } from "@ai-sdk/react";
import { DefaultChatTransport, isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const { server, token, agent, thread: id } = Object.fromEntries(new URLSearchParams(location.search));
const api = `${server}/v1/ai-sdk/v7/${agent}`;
const headers = { authorization: `Bearer ${token}` };
const transport = new DefaultChatTransport({ api, headers });
const known = await fetch(`${api}/${id}`, { headers });
const messages: UIMessage[] = known.ok ? await known.json() : [];
const chat = new Chat({
  id, messages, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
});

function Part({ part }: { part: UIMessage["parts"][number] }) {
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
