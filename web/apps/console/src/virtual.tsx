// Owns long lists: only the rows that are seen are in the document, so ten thousand scroll as ten do.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const OVERSCAN = 8; // rows drawn above and below what is seen

export function VirtualList<T>({ rows, height, row, label, follow = false, focus }: {
  rows: readonly T[];
  /** Of one row, pixels. */
  height: number;
  row: (item: T, at: number) => ComponentChildren;
  label: string;
  /** Stay at the end while somebody is there. */
  follow?: boolean;
  /** A row to bring into view. */
  focus?: number | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [viewport, setViewport] = useState({ top: 0, size: 600 });
  const atEnd = useRef(true);
  const measure = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < height * 2;
    setViewport((before) => (before.top === scrollTop && before.size === clientHeight ? before : { top: scrollTop, size: clientHeight }));
  };
  useEffect(() => {
    const watch = new ResizeObserver(measure);
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (follow && atEnd.current) box.current!.scrollTop = box.current!.scrollHeight;
  }, [rows.length, follow]);
  useLayoutEffect(() => {
    if (focus === undefined) return;
    const { scrollTop, clientHeight } = box.current!;
    if (focus * height < scrollTop || (focus + 1) * height > scrollTop + clientHeight) box.current!.scrollTop = Math.max(0, focus * height - clientHeight / 2);
  }, [focus, height]);
  const first = Math.max(0, Math.floor(viewport.top / height) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((viewport.top + viewport.size) / height) + OVERSCAN);
  return (
    <div class="virtual" ref={box} onScroll={measure} tabIndex={0} role="list" aria-label={label}>
      <div style={{ height: `${rows.length * height}px`, position: "relative" }}>
        <div style={{ position: "absolute", insetInline: "0", top: `${first * height}px` }}>
          {rows.slice(first, last).map((item, at) => row(item, first + at))}
        </div>
      </div>
    </div>
  );
}
