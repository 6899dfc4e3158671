// CopilotKit's chat over its runtime, as docs/howto/copilotkit.md has it: `copilotkit.html?runtime=…&agent=…&thread=…`;
// with `&state=…` what the page changes of the shared state is given to the agent.

import { CopilotChat, CopilotKitProvider, useAgent, useDefaultRenderTool, useInterrupt } from "@copilotkit/react-core/v2";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const { runtime, agent: name, thread, state } = Object.fromEntries(new URLSearchParams(location.search));

function Approvals() {
  useInterrupt({
    agentId: name,
    render: ({ interrupt, resolve }) => (
      <div className="approval">
        <span>{interrupt.message}</span>
        <button className="approve" onClick={() => void resolve({ approved: true })}>Approve</button>
        <button className="deny" onClick={() => void resolve({ approved: false, note: "no" })}>Deny</button>
      </div>
    ),
  });
  useDefaultRenderTool({
    render: ({ parameters, status }) => <div className="call" data-state={status}>{JSON.stringify(parameters)}</div>,
  });
  return null;
}

/** What the last run came to, now and after a reload. */
function Outcome() {
  const { agent } = useAgent({ agentId: name });
  const [outcome, setOutcome] = useState("");
  const [joined, setJoined] = useState(false);
  useEffect(() => {
    const { unsubscribe } = agent.subscribe({
      onRunStartedEvent: ({ event }) => setOutcome(event.metadata?.holdfast.last?.status ?? ""),
      onRunFinalized: () => setJoined(true),
      onRunErrorEvent: ({ event }) => setOutcome(event.code === "run.cancelled" ? "cancelled" : `failed: ${event.message}`),
    });
    return unsubscribe;
  }, [agent]);
  return (
    <>
      <output id="outcome" data-running={agent.isRunning || !joined}>{outcome}</output>
      <button id="like" onClick={() => agent.setState({ liked: true })}>{JSON.stringify(agent.state)}</button>
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <CopilotKitProvider runtimeUrl={runtime} properties={state === undefined ? {} : { holdfast: { state: true } }}>
    <Outcome />
    <Approvals />
    <CopilotChat agentId={name} threadId={thread} />
  </CopilotKitProvider>,
);
