// Owns the controls that hurt, and the other devices. Only an admin's token, on the demo's machine, may hurt processes.

import { ask, Button, Glyph, Unanswered } from "holdfast-look";
import { useCallback, useEffect, useState } from "preact/hooks";

import { useChat } from "./context.js";

const KILL_SERVER = "demo/kill/server";

/** What the demo's server says; other servers have no such route. */
export interface Info {
  agents: string[];
  /** This page may hurt processes. */
  here: boolean;
  /** Other devices can connect. */
  open: boolean;
  processes?: Record<string, string>;
  share?: string;
  qr?: string;
}

/** The demo's state, or null where this is not the demo. */
export function useInfo(): { info: Info | null; call: (path: string) => Promise<void>; load: () => Promise<void> } {
  const chat = useChat();
  const [info, setInfo] = useState<Info | null>(null);
  const load = useCallback(async () => {
    try {
      setInfo(await ask<Info>(`demo/info?session=${encodeURIComponent(chat.session?.id ?? "")}`, chat.token));
    } catch { // not the demo's server, no admin, or it is away: what this page itself can do remains
    }
  }, [chat]);
  const call = useCallback(async (path: string) => void (await ask(path, chat.token, "POST")), [chat]);
  const live = chat.client.status.state !== "offline";
  useEffect(() => {
    if (live) void load();
  }, [live, chat.session, load]);
  return { info, call, load };
}

export function Breaking() {
  const chat = useChat();
  const { info, call, load } = useInfo();
  const act = async (path: string, words: string) => {
    try {
      await call(path);
      chat.tell(words);
    } catch (error) {
      if (error instanceof Unanswered && error.unheard && path === KILL_SERVER) chat.tell(words); // it took its answer with it
      else chat.tell((error as Error).message, "error");
    }
    setTimeout(() => void load(), 300);
  };
  const cut = (ms: number) => {
    chat.client.cut(ms);
    chat.tell(ms ? "Cut for ten seconds. What is written meanwhile is kept." : "Cut. It comes back by itself.");
  };
  return (
    <>
      <section><h2>Break it</h2><div id="break">
        <Row name="the line">
          <Button icon="scissors" words="cut" title="Drop the socket without a goodbye; it comes back at once" onClick={() => cut(0)} />
          <Button icon="scissors" words="cut 10 s" title="Drop it and stay away for ten seconds" onClick={() => cut(10_000)} />
          {info !== null && <Button icon="server" words="reset" title="Let the server reset this TCP connection"
            onClick={() => void act(`demo/cut/${chat.client.connection.welcome?.connection}`, "The server reset this connection.")} />}
        </Row>
        {(info?.here ? info.agents : []).map((name) => {
          const frozen = info?.processes?.[name] === "frozen";
          return (
            <Row key={name} name={name}>
              <Button icon="skull" words="kill" title={`kill -9 the ${name}'s process`}
                onClick={() => void act(`demo/kill/${name}`, `The ${name} was killed: SIGKILL. It is started again in a moment.`)} />
              <Button icon={frozen ? "sun" : "snow"} words={frozen ? "thaw" : "freeze"} title="SIGSTOP: it hangs without dying" data-frozen={String(frozen)}
                onClick={() => void act(`demo/${frozen ? "thaw" : "freeze"}/${name}`, frozen ? `The ${name} goes on.` : `The ${name} hangs: SIGSTOP.`)} />
            </Row>
          );
        })}
        {info?.here && <Row name="server"><Button icon="skull" words="kill" title="kill -9 the server's process"
          onClick={() => void act(KILL_SERVER, "The server was killed: SIGKILL. It is started again in a moment.")} /></Row>}
      </div></section>
      <section><h2>Elsewhere</h2><div id="others"><Elsewhere info={info} /></div></section>
    </>
  );
}

const Row = ({ name, children }: { name: string; children: preact.ComponentChildren }) => (
  <div class="break-row" role="group" aria-label={name}><span class="what">{name}</span><span class="buttons">{children}</span></div>
);

function Elsewhere({ info }: { info: Info | null }) {
  const chat = useChat();
  return (
    <>
      <a class="button" href={chat.linkToHere()} target="_blank" rel="noopener"><Glyph name="tab" /><span class="words">open a second tab</span></a>
      {info?.share && (
        <>
          <img class="qr" alt="QR code of the address for another device" src={`data:image/svg+xml,${encodeURIComponent(info.qr ?? "")}`} />
          <p class="hint">Scan it with a phone in this network, or <Button icon="copy" words="copy the address" kind="quiet"
            onClick={() => void navigator.clipboard?.writeText(info.share!)} /></p>
        </>
      )}
      {info !== null && !info.share && !info.open && (
        <p class="hint">Only this machine can connect. For a phone, start it with <code>make demo HOST=0.0.0.0</code>.</p>
      )}
    </>
  );
}
