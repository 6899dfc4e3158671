// Owns the scrolling middle: turns in order, older pages fetched when somebody looks back (SUB-5), and a tail that is
// followed only while somebody is at it.

import { Button } from "holdfast-look";
import { newestLeaf, type Session, siblingInputs } from "holdfast-ai";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { arrange, isInput, known, NO_PAST, type Past } from "./arrange.js";
import { useChat } from "./context.js";
import { Input, ItemView, Sending } from "./items.js";
import { RootRun, Versions } from "./run.js";

const TAIL_PX = 40;
const OLDER_PX = 300;
const SPEAKING: ReadonlySet<string> = new Set(["send", "interrupt", "steer"]);

export function Conversation({ session }: { session: Session }) {
  const chat = useChat();
  const { past, fetchOlder } = usePast(session);
  const view = known(session.view, past);
  const turns = useMemo(() => arrange(view), [session.view, session.view.shape, past]);
  const sending = session.sending;
  const speaking = sending.filter(({ op, key }) => SPEAKING.has(op) && session.view.find("message", String(key)) === undefined);
  const { scroller, list, following, toTail, scrolled } = useTail(session, session.view.version);
  const drawing = { view: session.view, sending };
  return (
    <>
      <div id="scroller" ref={scroller} onScroll={({ currentTarget }) => {
        scrolled();
        if (currentTarget.scrollTop < OLDER_PX) void fetchOlder(currentTarget);
      }}>
        <div id="list" ref={list}>
          {turns.map(({ item, answer }) => (
            <>
              {isInput(item)
                ? <Input key={item.id} item={item} siblings={
                    <Versions all={siblingInputs(view.items, item)} current={item} choose={(other) => chat.select({ input: newestLeaf(view.items, other.id) })} />} />
                : <ItemView key={item.id} item={item} at={session.view.changedAt(item)} />}
              {answer && <RootRun key={answer.run.id} answer={answer} {...drawing} />}
            </>
          ))}
          {speaking.map(({ key, text }) => <Sending key={key} text={String(text)} />)}
        </div>
      </div>
      {!following && <Button icon="down" words="new below" id="below" onClick={toTail} />}
    </>
  );
}

/** Pages before the view, fetched as somebody scrolls up; what is read does not move. */
function usePast(session: Session) {
  const [past, setPast] = useState<Past>(NO_PAST);
  const fetching = useRef(false);
  const keep = useRef<{ node: HTMLElement; below: number } | null>(null);
  useEffect(() => setPast(NO_PAST), [session.view]); // pages are counted from the view they belong to
  useLayoutEffect(() => {
    if (keep.current) keep.current.node.scrollTop = keep.current.node.scrollHeight - keep.current.below;
    keep.current = null;
  }, [past]);
  const fetchOlder = async (node: HTMLElement) => {
    const page = past.older ?? session.view.older;
    if (fetching.current || page === 0) return;
    fetching.current = true;
    try {
      const { page: found, older } = await session.history(page);
      keep.current = { node, below: node.scrollHeight - node.scrollTop };
      setPast((before) => ({
        items: [...found.items, ...before.items], runs: new Map([...Object.entries(found.runs), ...before.runs]), older,
      }));
    } catch { // the next scroll asks again
    } finally {
      fetching.current = false;
    }
  };
  return { past, fetchOlder };
}

/** Follow the tail while somebody is at it; text that grows never moves what is being read. */
function useTail(session: Session, version: number) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const at = useRef(true);
  const [following, setFollowing] = useState(true);
  const pin = () => {
    if (at.current && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current!;
    at.current = scrollHeight - scrollTop - clientHeight < TAIL_PX;
    if (at.current) setFollowing(true);
  };
  const toTail = () => {
    at.current = true;
    setFollowing(true);
    pin();
  };
  useLayoutEffect(() => {
    pin();
    if (!at.current && version > 0) {
      scrolled(); // there may be nothing below: what is shown can have become shorter
      setFollowing(at.current);
    }
  }, [version]);
  useEffect(() => {
    toTail();
    const repin = new ResizeObserver(pin);
    repin.observe(scroller.current!);
    repin.observe(list.current!);
    return () => repin.disconnect();
  }, [session]);
  return { scroller, list, following, toTail, scrolled };
}
