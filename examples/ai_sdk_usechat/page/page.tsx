// A chat that survives reloads, lost networks and a second tab. Nothing here but React and the AI SDK.
import { Chat, useChat } from "@ai-sdk/react";
import {
  getToolName,
  isToolUIPart,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  type UIMessage,
  WebSocketChatTransport,
} from "ai";
import { type SubmitEvent, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const API = "/v1/ai-sdk/v7/writer";

/** A token of your own login. The SDK puts it into its frames, never into an address. */
async function headers(): Promise<Record<string, string>> {
  const { token } = (await (await fetch("/login", { method: "POST" })).json()) as { token: string };
  return { authorization: `Bearer ${token}` };
}

/** The chat of this address; `#name` names another one. */
async function open(): Promise<Chat<UIMessage>> {
  const id = location.hash.slice(1) || `chat-${crypto.randomUUID()}`;
  history.replaceState(null, "", `#${id}`);
  const before = await fetch(`${API}/${id}`, { headers: await headers() });
  return new Chat({
    id,
    messages: before.ok ? ((await before.json()) as UIMessage[]) : [],
    transport: new WebSocketChatTransport({
      url: API,
      headers,
      // the server has the rest
      prepareSendMessagesRequest: ({ messages }) => ({ messages: messages.slice(-1) }),
    }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
}

function Page({ chat }: { chat: Chat<UIMessage> }) {
  // a `chat` made outside is not stopped when this component goes away; `resume` joins the answer being given
  const { messages, sendMessage, stop, status, error, resumeStream, addToolApprovalResponse } = useChat({
    chat,
    resume: true,
  });
  const [text, setText] = useState("");

  // the line broke in the middle of an answer: join it again
  const broken = error !== undefined && /network/.test(error.message);
  useEffect(() => {
    if (!broken) return;
    const timer = setTimeout(() => void resumeStream(), 500);
    return () => clearTimeout(timer);
  }, [broken, error, resumeStream]);

  const busy = status === "submitted" || status === "streaming";
  function submit(event: SubmitEvent) {
    event.preventDefault();
    void sendMessage({ text });
    setText("");
  }

  return (
    <main data-status={status}>
      {messages.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, index) => {
            if (part.type === "text") return <span key={index}>{part.text}</span>;
            if (!isToolUIPart(part)) return null;
            return (
              <div key={part.toolCallId} className="tool" data-state={part.state}>
                {getToolName(part)} {JSON.stringify(part.input)}{" "}
                {part.state === "approval-requested" &&
                  [true, false].map((approved) => (
                    <button
                      key={String(approved)}
                      onClick={() => void addToolApprovalResponse({ id: part.approval.id, approved })}
                    >
                      {approved ? "Allow" : "Refuse"}
                    </button>
                  ))}
                {part.state === "output-available" && JSON.stringify(part.output)}
                {part.state === "output-denied" && "refused"}
              </div>
            );
          })}
        </article>
      ))}
      {error && <p role="alert">{broken ? "The line is broken; joining again…" : error.message}</p>}
      <form onSubmit={submit}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        {busy ? (
          <button type="button" onClick={() => void stop()}>
            Stop
          </button>
        ) : (
          <button disabled={!text}>Send</button>
        )}
      </form>
    </main>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(<Page chat={await open()} />);
