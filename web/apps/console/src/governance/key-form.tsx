// Owns making a key: what its calls are for is asked first, and the secret is shown once.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type KeyRow, type OrganisationDay, routeOf } from "./api.js";

const DAY_S = 86_400;

export interface NewKey { key: KeyRow; secret: string }

/** `fingerprint`: of what a program sends already; it is its key then, and there is no secret to show. */
export function KeyForm({ organisation, fingerprint, done, cancel }: { organisation: OrganisationDay; fingerprint?: string; done: (made: NewKey) => void; cancel: () => void }) {
  const operator = useConsole();
  const [fields, setFields] = useState<Record<string, string>>({ days: fingerprint === undefined ? "365" : "30", models: "*" });
  const [declare, setDeclare] = useState(false);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const named = (kind: string) => organisation.units.filter((unit) => unit.kind === kind).map(({ name }) => name);
  const create = async () => {
    setBusy(true);
    setError("");
    const { days = "365", models = "*", ...own } = fields;
    const key = { ...Object.fromEntries(Object.entries(own).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value)), models: models.split(/[\s,]+/).filter(Boolean), ttl_s: Number(days) * DAY_S };
    try {
      done(await operator.request<NewKey>(routeOf(fingerprint === undefined ? "keys" : "keys/adopt"), "POST", { key, declare, ...(fingerprint !== undefined && { fingerprint }) }));
    } catch (refusal) {
      const { message, fix } = refusal as { message: string; fix?: string };
      setError([message, fix].filter(Boolean).join(" "));
    }
    setBusy(false);
  };
  const field = (name: string, label: string, more: { list?: string[]; required?: boolean; hint?: string; type?: string } = {}) => (
    <label key={name}><span>{label}</span>
      <input name={name} type={more.type ?? "text"} required={more.required} value={fields[name] ?? ""} placeholder={more.hint} list={more.list ? `${name}-names` : undefined} autocomplete="off" onInput={({ currentTarget }) => setFields({ ...fields, [name]: currentTarget.value })} />
      {more.list && <datalist id={`${name}-names`}>{more.list.map((each) => <option key={each} value={each} />)}</datalist>}
    </label>
  );
  return (
    <form class="consequence key-form" onSubmit={(event) => { event.preventDefault(); void create(); }}>
      <p>{fingerprint === undefined ? "A key says what its calls are for: each row of the ledger carries it. The secret is shown once, and stored as a hash." : "What the program sends is its key from then on, for 30 days at most; nothing in it has to change. The provider's key itself is not stored."}</p>
      <div class="fields">
        {field("workflow", "workflow", { required: true, list: named("workflow") })}{field("team", "team", { required: true, list: named("team") })}{field("task", "task", { required: true, hint: "draft, classify, review …" })}
        {field("name", "called", { hint: "workflow-task" })}{field("models", "models it may ask for", { hint: "gpt-* claude-*" })}{field("days", "good for days", { required: true, type: "number" })}
        <label><span>usage</span><select value={fields["usage"] ?? ""} onChange={({ currentTarget }) => setFields({ ...fields, usage: currentTarget.value })}><option value="">not said</option><option value="seated">seated: a person waits</option><option value="headless">headless: nobody waits</option></select></label>
      </div>
      <label class="check"><input type="checkbox" checked={declare} onChange={({ currentTarget }) => setDeclare(currentTarget.checked)} /><span>make the workflow in its team where nobody described it</span></label>
      {error && <p class="failure" role="alert">{error}</p>}
      <div class="row"><Button icon="plus" label={busy ? "…" : fingerprint === undefined ? "create the key" : "adopt the program"} kind="primary" type="submit" disabled={busy} /><Button icon="close" label="not now" kind="quiet" onClick={cancel} /></div>
    </form>
  );
}

/** The secret, the only time that it is there. */
export function SecretOnce({ made: { key, secret }, close }: { made: NewKey; close: () => void }) {
  const operator = useConsole();
  const copy = () => navigator.clipboard.writeText(secret).then(() => operator.showNotice("Copied. It is shown nowhere else."), () => operator.showNotice("This page may not copy: select the text and copy it."));
  return (
    <div class="receipt secret" role="status">
      {secret ? <>
        <p><b>{key.name}</b> has this secret. It is shown now and never again: put it where the program finds it.</p>
        <p class="row"><code>{secret}</code><Button icon="copy" label="copy" onClick={() => void copy()} /></p>
        <p class="hint">Programs use it as their provider's key, with this server's <code>/v1</code> as the base URL.</p>
      </> : <p><b>{key.name}</b> ({key.id}): what the program sends is its key now.</p>}
      <p><Button icon="completed" label={secret ? "I have put it away" : "close"} kind="primary" onClick={close} /></p>
    </div>
  );
}
