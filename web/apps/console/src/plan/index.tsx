// Owns which page of the plan is shown. It is loaded when somebody opens the first of them.

import "../governance/governance.css";
import "./plan.css";

import type { Route } from "../route.js";
import { CheatPage } from "./cheat.js";
import { GridPage } from "./grid.js";
import { InboxPage } from "./inbox.js";
import { InventoryPage } from "./inventory.js";
import { IncidentsPage } from "./incidents.js";
import { MondayPage } from "./monday.js";
import { RunsPage } from "./runs.js";
import { OrganisationGatePage } from "./organisation-gate.js";
import { WaiversPage } from "./waivers.js";
import { WorkflowPage } from "./workflow.js";

export default function PlanPages({ route: { id, name, query } }: { route: Route }) {
  switch (id) {
    case "workflow": return <WorkflowPage key={name} workflow={name} query={query} />;
    case "gate": return <OrganisationGatePage key={name} gate={name} />;
    case "cheat": return <CheatPage />;
    case "grid": return <GridPage />;
    case "inbox": return <InboxPage query={query} />;
    case "inventory": return <InventoryPage />;
    case "incidents": return <IncidentsPage />;
    case "runs": return <RunsPage query={query} />;
    case "waivers": return <WaiversPage />;
    default: return <MondayPage />;
  }
}
