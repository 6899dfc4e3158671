// Owns asking a route for what a page shows: loading, refused and answered each have a look.

import { Button, type RequestError } from "holdfast-look";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { useConsole } from "../console.js";

export interface Answer<T> {
  data: T | null;
  error: RequestError | null;
  refresh: () => void;
}

/** What a route answers; "" asks nothing. With `json` it is a POST that changes nothing. */
export function useAnswer<T>(path: string, json?: unknown): Answer<T> {
  const operator = useConsole();
  const [round, setRound] = useState(0);
  const request = `${path} ${JSON.stringify(json) ?? ""}`;
  const [state, setState] = useState<{ request: string; data: T | null; error: RequestError | null }>({ request: "", data: null, error: null });
  useEffect(() => {
    let closed = false;
    if (path) {
      operator.request<T>(path, json === undefined ? "GET" : "POST", json).then(
        (data) => !closed && setState({ request, data, error: null }),
        (error: RequestError) => !closed && setState({ request, data: null, error }),
      );
    }
    return () => {
      closed = true;
    };
  }, [operator, request, round]);
  const fresh = state.request === request;
  return { data: fresh ? state.data : null, error: fresh ? state.error : null, refresh: () => setRound((before) => before + 1) };
}

/** A list that comes in pages: what came so far, in the moment in which it came, and `older` for the next page. */
export function usePages<P extends { next: string }, R>(pathOf: (cursor: string) => string, rowsOf: (page: P) => readonly R[]): { rows: readonly R[]; page: Answer<P>; older: () => void } {
  const [cursor, setCursor] = useState("");
  const [earlier, setEarlier] = useState<readonly R[]>([]);
  const page = useAnswer<P>(pathOf(cursor));
  const rows = page.data ? [...earlier, ...rowsOf(page.data)] : earlier;
  const older = () => {
    setEarlier(rows);
    setCursor(page.data?.next ?? cursor);
  };
  return { rows, page, older };
}

/** What an answer becomes; before it a place of the same kind, and the reason where there is none. */
export function Answered<T>({ answer, children, rows = 4 }: { answer: Answer<T>; children: (data: T) => ComponentChildren; rows?: number }) {
  if (answer.error) return <Failure error={answer.error} retry={answer.refresh} />;
  if (answer.data === null) return <div class="loading" role="status" aria-label="Loading">{Array.from({ length: rows }, (_, at) => <span key={at} />)}</div>;
  return <>{children(answer.data)}</>;
}

/** Why something is not offered: what it needs, and which roles have it. */
export const Needs = ({ right, roles, to }: { right: string; roles: string; to: string }) => (
  <p class="hint">To {to}, somebody needs the right <code>{right}</code> (role {roles}). You may look.</p>
);

export function Failure({ error, retry }: { error: RequestError; retry: () => void }) {
  return (
    <div class="failure" role="alert">
      <p><b>{error.message.replace(/\.?$/, ".")}</b>{error.fix ? ` ${error.fix}` : ""}</p>
      {error.status === 403 && <p>Rights over money are granted by name: <code>holdfast token user:you --grant '*=read,spend'</code>; roles that people log in with have them (finops, operator, auditor).</p>}
      <p><Button icon="again" label="try again" onClick={retry} /></p>
    </div>
  );
}
