// Owns the controls that break things, and the other devices. Only an admin's token, on the demo's machine, may kill processes.

import { Button, Glyph, RequestError, requestJson } from "holdfast-look";
import { useCallback, useEffect, useState } from "preact/hooks";

import { useChat } from "./context.js";

const KILL_SERVER = "demo/kill/server";

/** What the demo's server says; other servers have no such route. */
export interface DemoInfo {
  agents: string[];
  /** This page may kill processes. */
  here: boolean;
  /** Other devices can connect. */
  open: boolean;
  processes?: Record<string, string>;
  share?: string;
  qr?: string;
}

/** The demo's state, or null where this is not the demo. */
export function useDemoInfo(): { info: DemoInfo | null; call: (path: string) => Promise<void>; load: () => Promise<void> } {
  const chat = useChat();
  const [info, setInfo] = useState<DemoInfo | null>(null);
  const load = useCallback(async () => {
    try {
      setInfo(await requestJson<DemoInfo>(`demo/info?session=${encodeURIComponent(chat.session?.id ?? "")}`, chat.token));
    } catch { // not the demo's server, no admin, or it is away: what this page itself can do remains
    }
  }, [chat]);
  const call = useCallback(async (path: string) => void (await requestJson(path, chat.token, "POST")), [chat]);
  const live = chat.client.status.state !== "offline";
  useEffect(() => {
    if (live) void load();
  }, [live, chat.session, load]);
  return { info, call, load };
}

export function FaultControls() {
  const chat = useChat();
  const { info, call, load } = useDemoInfo();
  const act = async (path: string, notice: string) => {
    try {
      await call(path);
      chat.showNotice(notice);
    } catch (error) {
      if (error instanceof RequestError && error.noResponse && path === KILL_SERVER) chat.showNotice(notice); // it took its answer with it
      else chat.showNotice((error as Error).message, "error");
    }
    setTimeout(() => void load(), 300);
  };
  const cut = (ms: number) => {
    chat.client.cut(ms);
    chat.showNotice(ms ? "Cut for ten seconds. What is written meanwhile is kept." : "Cut. It comes back by itself.");
  };
  return (
    <>
      <section><h2>Break it</h2><div id="break">
        <Row name="the line">
          <Button icon="scissors" label="cut" title="Drop the socket without a goodbye; it comes back at once" onClick={() => cut(0)} />
          <Button icon="scissors" label="cut 10 s" title="Drop it and stay away for ten seconds" onClick={() => cut(10_000)} />
          {info !== null && <Button icon="server" label="reset" title="Let the server reset this TCP connection"
            onClick={() => void act(`demo/cut/${chat.client.connection.welcome?.connection}`, "The server reset this connection.")} />}
        </Row>
        {(info?.here ? info.agents : []).map((name) => {
          const frozen = info?.processes?.[name] === "frozen";
          return (
            <Row key={name} name={name}>
              <Button icon="skull" label="kill" title={`kill -9 the ${name}'s process`}
                onClick={() => void act(`demo/kill/${name}`, `The ${name} was killed: SIGKILL. It is started again in a moment.`)} />
              <Button icon={frozen ? "sun" : "snow"} label={frozen ? "thaw" : "freeze"} title="SIGSTOP: it hangs without dying" data-frozen={String(frozen)}
                onClick={() => void act(`demo/${frozen ? "thaw" : "freeze"}/${name}`, frozen ? `The ${name} goes on.` : `The ${name} hangs: SIGSTOP.`)} />
            </Row>
          );
        })}
        {info?.here && <Row name="server"><Button icon="skull" label="kill" title="kill -9 the server's process"
          onClick={() => void act(KILL_SERVER, "The server was killed: SIGKILL. It is started again in a moment.")} /></Row>}
      </div></section>
      <section><h2>Elsewhere</h2><div id="others"><OtherDevices info={info} /></div></section>
    </>
  );
}

const Row = ({ name, children }: { name: string; children: preact.ComponentChildren }) => (
  <div class="break-row" role="group" aria-label={name}><span class="what">{name}</span><span class="buttons">{children}</span></div>
);

function OtherDevices({ info }: { info: DemoInfo | null }) {
  const chat = useChat();
  return (
    <>
      <a class="button" href={chat.linkToHere()} target="_blank" rel="noopener"><Glyph name="tab" /><span class="words">open a second tab</span></a>
      {info?.share && (
        <>
          <img class="qr" alt="QR code of the address for another device" src={`data:image/svg+xml,${encodeURIComponent(info.qr ?? "")}`} />
          <p class="hint">Scan it with a phone in this network, or <Button icon="copy" label="copy the address" kind="quiet"
            onClick={() => void navigator.clipboard?.writeText(info.share!)} /></p>
        </>
      )}
      {info !== null && !info.share && !info.open && (
        <p class="hint">Only this machine can connect. For a phone, start it with <code>make demo HOST=0.0.0.0</code>.</p>
      )}
    </>
  );
}
