-- Models that served the workflow in the window, by day and by what was asked for. A row that was replaced counts as well: a
-- correction makes no model another one. Rows that name the workflow, and are of nobody by the tree, are its own, too. Work
-- under a test key never counts.
SELECT r.model, r.asked, r.day, r.lost, r.named, min(r.at_ms) AS first_ms, max(r.at_ms) AS last_ms, count(*) AS n
FROM (SELECT model, asked, day, at_ms,
             CASE WHEN reason = 'gateway.lost' THEN 1 ELSE 0 END AS lost,
             CASE WHEN model = '' OR replace(tags, '"model_named":"no"', '') <> tags THEN 0 ELSE 1 END AS named
      FROM ledger_rows
      WHERE tenant = :tenant AND at_ms >= :since_ms AND at_ms < :until_ms
        AND (workflow = :workflow OR replace(tags, '"label_workflow":"' || :workflow || '"', '') <> tags)
        AND replace(tags, '"test":"yes"', '') = tags
        AND kind NOT IN ('seat', 'fee', 'credit', 'tax', 'adjustment')
        AND (outcome IN ('served', 'drained', 'cut') OR output_tokens > 0)) r
GROUP BY r.model, r.asked, r.day, r.lost, r.named
ORDER BY r.day, r.model, r.asked, r.lost, r.named
