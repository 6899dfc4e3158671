// One session as the page reads it: a cursor, the view folded up to it, and the way back after every loss.

import { View } from "./fold.js";
import { Proof } from "./proof.js";

const CACHE_CHARS = 1_500_000;
const READ_MS = 800;

export class Session {
  /** `state`: "catching up", "live", "offline", "closed". Listeners: `changed()` once something may look different,
      `here(list)`, `recovered(line)`. */
  constructor(connection, id, { changed, here, recovered, frame }) {
    Object.assign(this, { connection, id, changed, recovered, frame, onHere: here });
    this.view = new View();
    this.incarnation = null;
    this.seq = 0;
    this.tail = 0;
    this.state = "offline";
    this.code = "";
    this.here = [];
    this.proof = new Proof();
    this.turn = 0; // number of the newest subscribe; what belongs to an older one means nothing
    this.ready = false; // whether the newest subscribe was answered
    this.lostAt = null;
    this.readSeq = 0;
    this.restore();
  }

  /** Read from where this tab left off, else from a snapshot. */
  subscribe(start = this.incarnation === null ? "snapshot" : { incarnation: this.incarnation, seq: this.seq }) {
    if (this.connection.status !== "open") return;
    const turn = ++this.turn;
    this.ready = false;
    this.become("catching up");
    this.connection.request({ op: "subscribe", session: this.id, start }).then(
      ({ tail }) => turn === this.turn && this.subscribed(start, tail),
      (error) => turn === this.turn && this.refused(error),
    );
  }

  subscribed(start, tail) {
    this.ready = true;
    this.tail = tail;
    const away = this.lostAt === null ? null : Date.now() - this.lostAt;
    if (this.proof.resumed === null) this.proof.begin(start === "snapshot" ? null : start.seq, tail, away);
  }

  refused(error) {
    if (error.code === "connection.lost") return;
    this.code = error.code;
    this.become("closed");
  }

  /** Stop reading. */
  leave() {
    this.turn += 1;
    this.ready = false;
    this.keep();
    this.connection.request({ op: "unsubscribe", session: this.id }).catch(() => {});
  }

  disconnected() {
    this.turn += 1;
    this.ready = false;
    this.lostAt ??= Date.now();
    this.proof.resumed = null;
    if (this.state !== "closed") this.become("offline");
  }

  // --- from the connection
  received(message, size) {
    const { op } = message;
    if (op === "presence") {
      this.here = message.here;
      this.onHere(this.here);
    } else if (!this.ready) {
      return;
    } else if (op === "snapshot") {
      this.replace(message);
    } else if (op === "events") {
      this.proof.totals.frames += 1;
      this.proof.totals.bytes += size;
      this.frame(message, size);
      this.take(message.events, message.to);
    } else if (op === "skip") {
      this.tail = Math.max(this.tail, message.to);
      if (message.to > this.seq) this.advance(Math.max(message.from, this.seq + 1), message.to);
    } else if (op === "live") {
      this.caughtUp(message);
    } else if (op === "closed") {
      this.code = message.code;
      this.become("closed");
    }
    this.changed();
  }

  take(events, to) {
    this.tail = Math.max(this.tail, to);
    for (const event of events) {
      const last = event.to ?? event.seq;
      if (last <= this.seq) continue; // a frame may begin before the cursor (SUB-2)
      if (event.seq !== this.seq + 1 || !this.view.apply(event)) { // a gap or a bad join: heal (FOLD-3)
        this.subscribe("snapshot");
        return;
      }
      this.advance(event.seq, last);
    }
  }

  advance(first, last) {
    this.proof.took(first, last);
    this.seq = last;
  }

  replace({ view, incarnation, seq, reason }) {
    this.view = View.load(view);
    this.incarnation = incarnation;
    this.seq = seq;
    this.tail = Math.max(seq, reason === "reset" ? 0 : this.tail);
    this.proof.jumped(seq, reason);
  }

  caughtUp({ incarnation, seq }) {
    this.incarnation ??= incarnation;
    this.tail = Math.max(this.seq, seq);
    this.lostAt = null;
    this.become("live");
    const line = this.proof.end();
    if (line !== null) this.recovered(line);
    this.markRead();
  }

  become(state) {
    this.state = state;
    this.changed();
  }

  // --- what was seen
  markRead() {
    clearTimeout(this.readTimer);
    this.readTimer = setTimeout(() => {
      if (this.state !== "live" || document.hidden || this.seq <= this.readSeq) return;
      this.readSeq = this.seq;
      this.connection.request({ op: "read", session: this.id, seq: this.seq }).catch(() => {});
    }, READ_MS);
  }

  /** One page of older items: `{page: {items, runs}, older}`. */
  history(page) {
    return this.connection.request({ op: "history", session: this.id, page });
  }

  // --- surviving a reload
  keep() {
    if (this.incarnation === null) return;
    const { incarnation, seq } = this;
    const kept = JSON.stringify({ incarnation, seq, view: this.view.export() });
    try {
      if (kept.length <= CACHE_CHARS) sessionStorage.setItem(`holdfast.view.${this.id}`, kept);
      else sessionStorage.removeItem(`holdfast.view.${this.id}`);
    } catch { // the tab's storage is full: the next load starts from a snapshot
      sessionStorage.removeItem(`holdfast.view.${this.id}`);
    }
  }

  restore() {
    const kept = sessionStorage.getItem(`holdfast.view.${this.id}`);
    if (kept === null) return;
    try {
      const { incarnation, seq, view } = JSON.parse(kept);
      this.view = View.load(view);
      Object.assign(this, { incarnation, seq, tail: seq });
      this.proof.last = seq;
    } catch { // of another version
      sessionStorage.removeItem(`holdfast.view.${this.id}`);
    }
  }
}
