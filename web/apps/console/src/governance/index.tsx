// Owns which of the pages on money is shown. It is loaded when somebody opens the first of them.

import "./governance.css";

import type { Route } from "../route.js";
import { BillPage } from "./bill.js";
import { BudgetPage } from "./budget.js";
import { BudgetsPage } from "./budgets.js";
import { CallersPage } from "./callers.js";
import { CostPage } from "./cost.js";
import { KeysPage } from "./keys.js";
import { ModelsPage } from "./models.js";
import { OutcomesPage } from "./outcomes.js";
import { PricesPage } from "./prices.js";
import { RoutingPage } from "./routing.js";
import { RowPageOf, RowsPage } from "./rows.js";
import { SpendPage } from "./spend.js";
import { WastePage } from "./waste.js";

export default function MoneyPages({ route: { page, id, query } }: { route: Route }) {
  switch (page) {
    case "budgets": return id ? <BudgetPage key={id} id={id} query={query} /> : <BudgetsPage query={query} />;
    case "models": return <ModelsPage query={query} />;
    case "routing": return <RoutingPage query={query} />;
    case "outcomes": return <OutcomesPage query={query} />;
    case "bill": return <BillPage query={query} />;
    case "waste": return <WastePage query={query} />;
    case "callers": return <CallersPage query={query} />;
    case "keys": return <KeysPage query={query} />;
    case "prices": return <PricesPage query={query} />;
    case "rows": return <RowsPage query={query} />;
    case "row": return <RowPageOf key={id} id={id} query={query} />;
    case "cost": return <CostPage key={id} id={id} query={query} />;
    default: return <SpendPage query={query} />;
  }
}
