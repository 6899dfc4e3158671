// Owns figures over days, drawn by uPlot: lines with their names beside them, and the exact numbers of the day pointed at.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

import { usd } from "./figures.js";
import { secondsOf, shortDay } from "./period.js";

const HEIGHT = 232;
const LABEL_PX = 14; // between two names
const NAME_PX = 104; // room for names at the right
const NAME_CHARS = 15;

export interface Line {
  name: string;
  /** A CSS colour, of the look's tokens: light and dark may change. */
  colour: string;
  values: (number | null)[];
  /** Dashes, so that a line is told without colour. */
  dash?: number[];
}

const styleOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour as it is now, for what is drawn. */
const drawnColour = (colour: string) => () => colour.replace(/var\((--[\w-]+)\)/g, (_, name: string) => styleOf(name));

/** The same colour for the same name everywhere. */
export const hueColour = (hue: number): string => `hsl(${hue} var(--hue-s) var(--hue-l))`;

/** `split`: the first day of the period that is compared with what is before it. `band`: between which two lines it is filled. */
export function TimeChart({ days, lines, label, split, band }: { days: readonly string[]; lines: readonly Line[]; label: string; split?: string; band?: readonly [upper: number, lower: number] }) {
  const box = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<number | null>(null);
  useEffect(() => {
    const element = box.current!;
    const axis = { stroke: drawnColour("var(--quiet)"), grid: { stroke: drawnColour("var(--line)"), width: 1 }, ticks: { stroke: drawnColour("var(--line)"), width: 1 } };
    const plot = new uPlot({
      width: element.clientWidth, height: HEIGHT, legend: { show: false }, padding: [12, NAME_PX, 0, 0], cursor: { drag: { x: false, y: false }, y: false },
      series: [{}, ...lines.map(({ name, colour, dash }) => ({ label: name, stroke: drawnColour(colour), width: 1.75, points: { show: days.length < 3 }, ...(dash && { dash }) }))],
      ...(band && { bands: [{ series: [band[0] + 1, band[1] + 1] as uPlot.Band.Bounds, fill: () => `color-mix(in srgb, ${drawnColour(lines[band[0]]!.colour)()} 18%, transparent)` }] }),
      scales: { x: { time: true }, y: { range: (_: uPlot, __: number, most: number) => [0, Math.max(0.01, (most ?? 0) * 1.1)] } },
      axes: [
        { ...axis, space: 72, size: 30, values: (_: uPlot, ticks: number[]) => ticks.map((tick) => (tick % 86_400 ? "" : shortDay(new Date(tick * 1_000).toISOString().slice(0, 10)))) },
        { ...axis, size: 62, values: (_: uPlot, ticks: number[]) => ticks.map((tick) => usd(Math.round(tick * 1e9)).replace(/\.00$/, "")) },
      ],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "UTC"),
      hooks: {
        setCursor: [({ cursor }) => setAt(cursor.idx ?? null)],
        draw: [(drawn) => drawNames(drawn, lines), ...(split ? [(drawn: uPlot) => drawSplit(drawn, secondsOf(split))] : [])],
      },
    }, [days.map(secondsOf), ...lines.map(({ values }) => values.map((value) => (value === null ? null : value / 1e9)))] as uPlot.AlignedData, element);
    const redraw = () => plot.redraw();
    const fit = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    fit.observe(element);
    const looks = ["print", "(prefers-color-scheme: dark)"].map((query) => matchMedia(query));
    for (const look of looks) look.addEventListener("change", redraw);
    return () => {
      for (const look of looks) look.removeEventListener("change", redraw);
      fit.disconnect();
      plot.destroy();
    };
  }, [days, lines, split, band]);
  const shown = at ?? days.length - 1;
  return (
    <figure class="plot">
      <figcaption>{label}</figcaption>
      <div class="chart" ref={box} role="img" aria-label={`${label}; the numbers are in the table below`} />
      <p class="pointed"><b>{shortDay(days[shown] ?? "")}</b>{lines.map(({ name, colour, values }) => <span key={name}><i style={{ background: colour }} />{name} {values[shown] === null || values[shown] === undefined ? "–" : usd(values[shown])}</span>)}</p>
    </figure>
  );
}

/** The name of each line at its end; where two would lie over each other, the lower one moves down. */
function drawNames({ ctx, data, bbox, valToPos }: uPlot, lines: readonly Line[]): void {
  const ratio = devicePixelRatio;
  const places = lines.map(({ name, colour }, at) => {
    const last = (data[at + 1] as (number | null)[]).findLast((value) => value !== null) ?? 0;
    return { name, colour, y: valToPos(last, "y", true) };
  }).sort((one, other) => one.y - other.y);
  ctx.save();
  ctx.font = `${12 * ratio}px ${styleOf("--body")}`;
  ctx.textAlign = "left"; // the axes leave theirs behind
  ctx.textBaseline = "middle";
  let free = bbox.top;
  const need = LABEL_PX * ratio;
  const above = Math.max(0, places.length * need - bbox.height);
  for (const [at, { name, colour, y }] of places.entries()) {
    const lowest = bbox.top + bbox.height + above - (places.length - at - 0.5) * need;
    const drawn = Math.max(free, Math.min(y, lowest));
    free = drawn + need;
    ctx.fillStyle = drawnColour(colour)();
    ctx.fillText(name.length > NAME_CHARS ? `${name.slice(0, NAME_CHARS - 1)}…` : name, bbox.left + bbox.width + 6 * ratio, drawn);
  }
  ctx.restore();
}

function drawSplit({ ctx, bbox, valToPos }: uPlot, seconds: number): void {
  const x = valToPos(seconds - 43_200, "x", true);
  if (x <= bbox.left || x >= bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = styleOf("--faint");
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}
