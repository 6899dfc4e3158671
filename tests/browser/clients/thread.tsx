// A thread of assistant-ui's primitives, as plain as it can be: what `npx assistant-ui init` makes, without the looks.

import {
  AuiIf, ComposerPrimitive, MessagePrimitive, ThreadPrimitive, useAuiState, type ToolCallMessagePartProps,
} from "@assistant-ui/react";

function Call({ toolName, result, approval, respondToApproval }: ToolCallMessagePartProps) {
  const asks = approval !== undefined && approval.approved === undefined && approval.resolution === undefined;
  return (
    <div className="call">
      {toolName} {String(result ?? "")}
      {asks && <button className="approve" onClick={() => void respondToApproval({ approved: true })}>Approve</button>}
      {asks && <button className="deny" onClick={() => void respondToApproval({ approved: false })}>Deny</button>}
    </div>
  );
}

function Message() {
  const role = useAuiState(({ message }) => message.role);
  const status = useAuiState(({ message }) => message.status?.type ?? "");
  return (
    <MessagePrimitive.Root className={role} data-status={status}>
      <MessagePrimitive.Parts components={{ tools: { Fallback: Call } }} />
    </MessagePrimitive.Root>
  );
}

export function Thread() {
  return (
    <ThreadPrimitive.Root>
      <ThreadPrimitive.Messages components={{ Message }} />
      <ComposerPrimitive.Root>
        <ComposerPrimitive.Input />
        <AuiIf condition={({ thread }) => !thread.isRunning}><ComposerPrimitive.Send className="send">Send</ComposerPrimitive.Send></AuiIf>
        <AuiIf condition={({ thread }) => thread.isRunning}><ComposerPrimitive.Cancel className="cancel">Cancel</ComposerPrimitive.Cancel></AuiIf>
      </ComposerPrimitive.Root>
    </ThreadPrimitive.Root>
  );
}
