// Owns the scrolling middle: turns in order, older pages fetched when somebody looks back (SUB-5), and a tail that is
// followed only while somebody is at it.

import { Button } from "holdfast-look";
import { newestLeaf, type Session, siblingInputs } from "holdfast-ai";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { arrange, type FetchedHistory, isInput, NO_HISTORY, withHistory } from "./arrange.js";
import { useChat } from "./context.js";
import { InputMessage, ItemView, UnsentMessage } from "./items.js";
import { RootRun, Versions } from "./run.js";

const TAIL_PX = 40;
const OLDER_PX = 300;
const MESSAGE_OPS: ReadonlySet<string> = new Set(["send", "interrupt", "steer"]);

export function Conversation({ session }: { session: Session }) {
  const chat = useChat();
  const { history, fetchOlder } = useHistory(session);
  const view = withHistory(session.view, history);
  const turns = useMemo(() => arrange(view), [session.view, session.view.shape, history]);
  const sending = session.sending;
  const unsentMessages = sending.filter(({ op, key }) => MESSAGE_OPS.has(op) && session.view.find("message", String(key)) === undefined);
  const { scroller, list, following, toTail, scrolled } = useTail(session, session.view.version);
  const context = { view: session.view, sending };
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
                ? <InputMessage key={item.id} item={item} siblings={
                    <Versions all={siblingInputs(view.items, item)} current={item} choose={(other) => chat.select({ input: newestLeaf(view.items, other.id) })} />} />
                : <ItemView key={item.id} item={item} changedAt={session.view.changedAt(item)} />}
              {answer && <RootRun key={answer.run.id} node={answer} {...context} />}
            </>
          ))}
          {unsentMessages.map(({ key, text }) => <UnsentMessage key={key} text={String(text)} />)}
        </div>
      </div>
      {!following && <Button icon="down" label="new below" id="below" onClick={toTail} />}
    </>
  );
}

/** Pages before the view, fetched as somebody scrolls up; what is read does not move. */
function useHistory(session: Session) {
  const [history, setHistory] = useState<FetchedHistory>(NO_HISTORY);
  const fetching = useRef(false);
  const scrollAnchor = useRef<{ node: HTMLElement; below: number } | null>(null);
  useEffect(() => setHistory(NO_HISTORY), [session.view]); // pages are counted from the view they belong to
  useLayoutEffect(() => {
    if (scrollAnchor.current) scrollAnchor.current.node.scrollTop = scrollAnchor.current.node.scrollHeight - scrollAnchor.current.below;
    scrollAnchor.current = null;
  }, [history]);
  const fetchOlder = async (node: HTMLElement) => {
    const page = history.older ?? session.view.older;
    if (fetching.current || page === 0) return;
    fetching.current = true;
    try {
      const { page: { items, runs }, older } = await session.history(page);
      scrollAnchor.current = { node, below: node.scrollHeight - node.scrollTop };
      setHistory((before) => ({
        items: [...items, ...before.items], runs: new Map([...Object.entries(runs), ...before.runs]), older,
      }));
    } catch { // the next scroll asks again
    } finally {
      fetching.current = false;
    }
  };
  return { history, fetchOlder };
}

/** Follow the tail while somebody is at it; text that grows never moves what is being read. */
function useTail(session: Session, version: number) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const atTail = useRef(true);
  const [following, setFollowing] = useState(true);
  const pin = () => {
    if (atTail.current && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current!;
    atTail.current = scrollHeight - scrollTop - clientHeight < TAIL_PX;
    if (atTail.current) setFollowing(true);
  };
  const toTail = () => {
    atTail.current = true;
    setFollowing(true);
    pin();
  };
  useLayoutEffect(() => {
    pin();
    if (!atTail.current && version > 0) {
      scrolled(); // there may be nothing below: what is shown can have become shorter
      setFollowing(atTail.current);
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
