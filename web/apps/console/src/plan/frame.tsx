// Owns the frame of a page of the plan: which page, the command that shows the same, and how it is printed.

import { Button } from "holdfast-look";
import type { ComponentChildren } from "preact";

import { CopyCommand } from "../governance/frame.js";
import { useCheats } from "./cheat-api.js";
import { planAddress } from "./words.js";

export const PLAN_PAGES = [["", "Monday"], ["grid", "Grid"], ["inbox", "Inbox"], ["inventory", "Inventory"], ["incidents", "Incidents and stops"], ["waivers", "Waivers"]] as const;
/** Where there is a demo company that one may try to cheat. */
const CHEAT_PAGE = ["cheat", "Try to cheat"] as const;

/** What every page of the plan has above what it shows. `page` is "" on Monday. */
export function PlanFrame({ page, title, question, command, controls, wide = false, children }: {
  page: string;
  title: ComponentChildren;
  /** What somebody opens it for. */
  question: ComponentChildren;
  command: string;
  controls?: ComponentChildren;
  /** Is printed on its side. */
  wide?: boolean;
  children: ComponentChildren;
}) {
  const pages = useCheats().length ? [...PLAN_PAGES, CHEAT_PAGE] : PLAN_PAGES;
  return (
    <section class={wide ? "money-page plan-page on-its-side" : "money-page plan-page"}>
      <nav class="panes rooms" aria-label="Pages of the plan">{pages.map(([name, words]) => (
        <a key={name} href={planAddress(name)} aria-current={page === name ? "page" : undefined}>{words}</a>
      ))}</nav>
      <header class="bar"><h1>{title}</h1>{controls}<CopyCommand command={command} /><Button icon="source" label="print" kind="quiet" class="print" onClick={() => print()} /></header>
      <p class="question">{question}</p>
      {children}
    </section>
  );
}

/** A part of a page: its heading says what it answers. */
export const PlanPart = ({ title, count, label, children }: { title: string; count?: ComponentChildren; label?: string; children: ComponentChildren }) => (
  <section class="plan-part" aria-label={label ?? title}><header><h2>{title}</h2>{count !== undefined && <small>{count}</small>}</header>{children}</section>
);

export const Calm = ({ children }: { children: ComponentChildren }) => <p class="calm">{children}</p>;
