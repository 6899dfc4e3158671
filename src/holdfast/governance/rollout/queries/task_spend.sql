-- What the workflow spent in the window, by task and model, nano-USD. Work under a test key never counts, nor do the shadows of
-- an experiment, which are unseen; a task that only calls itself one does.
SELECT r.task, coalesce(nullif(r.asked, ''), r.model) AS model, count(DISTINCT r.call) AS calls,
       coalesce(sum(r.billed_nano), 0) AS billed_nano
FROM ledger_rows r
WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.at_ms >= :since_ms AND r.at_ms < :until_ms
  AND replace(r.tags, '"test":"yes"', '') = r.tags
  AND NOT EXISTS (SELECT 1 FROM ledger_rows c WHERE c.corrects = r.id AND c.corrects <> '')
  AND NOT EXISTS (SELECT 1 FROM routing_experiments e WHERE e.tenant = r.tenant AND 'experiment:' || e.id = r.task)
GROUP BY 1, 2
ORDER BY 1, 2
