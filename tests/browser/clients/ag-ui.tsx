// AG-UI's `HttpAgent` over the server, as docs/howto/ag-ui.md has it: `ag-ui.html?server=…&token=…&agent=…&thread=…`.

import { HttpAgent, type Interrupt, type Message } from "@ag-ui/client";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const { server, token, agent: name, thread: threadId } = Object.fromEntries(new URLSearchParams(location.search));
const url = (route: string) => `${server}/v1/ag-ui/agent/${name}/${route}`;
const agent = new HttpAgent({ url: url("connect"), threadId, headers: { authorization: `Bearer ${token}` } });

function Calls({ message, messages }: { message: Message; messages: Message[] }) {
  const calls = message.role === "assistant" ? message.toolCalls ?? [] : [];
  return calls.map((call) => {
    const result = messages.find((other) => other.role === "tool" && other.toolCallId === call.id);
    return <div key={call.id} className="call" data-state={result ? "complete" : "executing"}>{call.function.arguments}</div>;
  });
}

function Page() {
  const [messages, show] = useState<Message[]>([]);
  const [interrupts, ask] = useState<Interrupt[]>([]);
  const [running, runs] = useState(true);
  const [outcome, say] = useState("");
  const [words, write] = useState("");
  const run = async (route: string, resume?: object[]) => {
    agent.url = url(route);
    ask([]);
    runs(true);
    await agent.runAgent(resume ? { resume } as object : {}).catch((error: unknown) => say(String(error)));
    ask([...agent.pendingInterrupts]);
    runs(false);
  };
  useEffect(() => {
    agent.subscribe({
      onMessagesChanged: ({ messages: all }) => show([...all]),
      onRunErrorEvent: ({ event }) => say(event.code ?? event.message),
    });
    void run("connect");
  }, []);
  const send = () => {
    agent.addMessage({ id: crypto.randomUUID(), role: "user", content: words });
    write("");
    void run("run");
  };
  const answer = (approved: boolean) => run("run", interrupts.map(({ id: interruptId }) => (
    { interruptId, status: "resolved", payload: { approved, note: "no" } }
  )));
  return (
    <main>
      {messages.map((message) => (
        <section key={message.id} className={message.role}>
          {typeof message.content === "string" && message.role !== "tool" && <p>{message.content}</p>}
          <Calls message={message} messages={messages} />
        </section>
      ))}
      {interrupts.map(({ id, message }) => (
        <div key={id} className="approval">
          <span>{message}</span>
          <button className="approve" onClick={() => void answer(true)}>Approve</button>
          <button className="deny" onClick={() => void answer(false)}>Deny</button>
        </div>
      ))}
      <textarea value={words} onChange={(event) => write(event.target.value)} onKeyDown={({ key }) => key === "Enter" && send()} />
      <output id="outcome" data-running={running}>{outcome}</output>
    </main>
  );
}

createRoot(document.getElementById("root")!).render(<Page />);
