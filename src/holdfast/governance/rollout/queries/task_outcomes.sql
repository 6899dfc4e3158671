-- What was said of the workflow's work of the last 90 days, by task and model, with what of it was said before the window
-- began; cost in nano-USD of those whose cost is known. Work under a test key never counts.
SELECT o.task, o.model, count(*) AS n,
       sum(CASE WHEN o.verdict = 'accepted' THEN 1 ELSE 0 END) AS accepted,
       sum(CASE WHEN o.at_ms < :since_ms THEN 1 ELSE 0 END) AS n_before,
       sum(CASE WHEN o.at_ms < :since_ms AND o.verdict = 'accepted' THEN 1 ELSE 0 END) AS accepted_before,
       count(o.cost_nano) AS costed, coalesce(sum(o.cost_nano), 0) AS cost_nano
FROM outcomes o
WHERE o.tenant = :tenant AND o.workflow = :workflow AND o.counts AND o.work_ms > 0 AND o.model <> ''
  AND o.at_ms >= :as_of_ms - 7776000000 AND o.at_ms <= :as_of_ms
  AND NOT EXISTS (SELECT 1 FROM ledger_rows r WHERE o.run = '' AND r.call = o.call AND r.tenant = o.tenant
                    AND replace(r.tags, '"test":"yes"', '') <> r.tags)
  AND NOT EXISTS (SELECT 1 FROM ledger_rows r WHERE o.run <> '' AND r.tenant = o.tenant AND r.session = o.session
                    AND r.run = o.run AND replace(r.tags, '"test":"yes"', '') <> r.tags)
GROUP BY o.task, o.model
ORDER BY o.task, o.model
